// The noise of vidpred/randomness.py, number for number: Philox 4x32-10 under a key from the names, Box and Muller.
const K = new Uint32Array(64), H = new Uint32Array(8); // SHA-256: the roots of primes, as FIPS 180-4 takes their bits
for (let n = 2, i = 0; i < 64; n++) {
  let prime = true;
  for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
  if (!prime) continue;
  const bits = (root) => Math.floor((root - Math.floor(root)) * 2 ** 32);
  if (i < 8) H[i] = bits(Math.sqrt(n));
  K[i++] = bits(Math.cbrt(n));
}

// The first 64 bits of the SHA-256 of a text in UTF-8, as two words: written out, for pages that are not from https.
export function keyOf(...names) {
  const text = new TextEncoder().encode(names.join("/")), blocks = Math.floor((text.length + 8) / 64) + 1;
  const padded = new Uint8Array(64 * blocks), view = new DataView(padded.buffer), h = H.slice(), w = new Uint32Array(64);
  padded.set(text);
  padded[text.length] = 0x80;
  view.setUint32(64 * blocks - 4, 8 * text.length);
  const turn = (x, by) => (x >>> by) | (x << (32 - by));
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < 64; i++) {
      if (i < 16) { w[i] = view.getUint32(64 * block + 4 * i); continue; }
      const a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
    }
    let [a, b, c, d, e, f, g, last] = h;
    for (let i = 0; i < 64; i++) {
      const one = (last + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [last, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, last].forEach((x, i) => { h[i] += x; });
  }
  return [h[0], h[1]];
}

// Upper half of the product of two words; Math.imul gives the lower one.
function high(a, b) {
  const a1 = a >>> 16, a0 = a & 0xffff, b1 = b >>> 16, b0 = b & 0xffff;
  const middle = a1 * b0 + ((a0 * b0) >>> 16), other = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(other / 65536)) >>> 0;
}

export function philox([a, b, c, d], key) {
  let [k, m] = key;
  for (let i = 0; i < 10; i++) {
    const p = high(a, 0xd2511f53), q = high(c, 0xcd9e8d57), low = Math.imul(a, 0xd2511f53), other = Math.imul(c, 0xcd9e8d57);
    [a, b, c, d] = [(q ^ b ^ k) >>> 0, other >>> 0, (p ^ d ^ m) >>> 0, low >>> 0];
    k = (k + 0x9e3779b9) >>> 0;
    m = (m + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

// The numbers of a draw: standard normal, float32.
export function normals(key, draw, count) {
  const drawn = new Float32Array(count), u = (word) => (word + 0.5) * 2 ** -32;
  for (let block = 0; 4 * block < count; block++) {
    const words = philox([block, draw, 0, 0], key);
    for (let pair = 0; pair < 4; pair += 2) {
      const r = Math.sqrt(-2 * Math.log(u(words[pair]))), angle = 2 * Math.PI * u(words[pair + 1]);
      drawn[4 * block + pair] = r * Math.cos(angle); // beyond the end of a typed array nothing is written
      drawn[4 * block + pair + 1] = r * Math.sin(angle);
    }
  }
  return drawn;
}
