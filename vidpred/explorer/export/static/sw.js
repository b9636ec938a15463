// Keeps what was fetched, so that the page works without a network afterwards. [[version]] changes with the files.
// An origin may have several pages, each with its own scope.
const OWN = "vidpred " + registration.scope + " ", CACHE = OWN + "[[version]]";
// What a page asks for before this script stands between it and the network.
const BEFORE = [[files]];
self.addEventListener("install", (event) => event.waitUntil((async () => {
  await (await caches.open(CACHE)).addAll(BEFORE.map((file) => new Request(file, { cache: "reload" })));
  await self.skipWaiting();
})()));
self.addEventListener("activate", (event) => event.waitUntil((async () => {
  for (const name of await caches.keys()) if (name.startsWith(OWN) && name !== CACHE) await caches.delete(name);
  await self.clients.claim();
})()));
// The page without its query; index.html is the folder.
const pageOf = (url) => { const plain = url.split(/[?#]/)[0]; return plain === registration.scope + "index.html" ? registration.scope : plain; };
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith((async () => {
    const cache = await caches.open(CACHE), page = request.mode === "navigate", name = page ? pageOf(request.url) : request;
    const kept = await cache.match(name);
    if (kept && !page) return kept;
    try {
      const answer = await fetch(request, { cache: "no-cache" }); // what the browser kept may be an earlier export's
      // beside what the page reads of it; where there is no room for it, it is fetched again next time
      if (answer.ok) event.waitUntil(cache.put(name, answer.clone()).catch(() => {}));
      return answer;
    } catch (error) {
      if (kept) return kept; // the page itself is asked for anew where there is a network
      throw error;
    }
  })());
});
