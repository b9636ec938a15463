// A GIF (89a) of frames: each pixel a square, framed green where given and red where predicted, one palette for all.
const ZOOM = 3, BORDER = 3, HUNDREDTHS = 10, FRAMES = [[0, 158, 60], [213, 30, 30]];

// frames: [RGBA picture, whether given]; a Blob
export function gif(frames, width, height) {
  const counts = new Map(), key = (r, g, b) => ((r >> 3) << 10) | ((g >> 3) << 5) | (b >> 3);
  for (const [rgba] of frames) for (let i = 0; i < rgba.length; i += 4) {
    const k = key(rgba[i], rgba[i + 1], rgba[i + 2]);
    counts.set(k, (counts.get(k) ?? 0) + 1);
  }
  const wide = (k) => [k >> 10, (k >> 5) & 31, k & 31].map((v) => (v << 3) | (v >> 2));
  const palette = [...FRAMES, ...[...counts].sort((a, b) => b[1] - a[1]).slice(0, 254).map(([k]) => wide(k))], nearest = new Map();
  const place = (k) => { // the colour of the palette that is nearest
    if (!nearest.has(k)) {
      const [r, g, b] = wide(k), far = ([u, v, w]) => (u - r) ** 2 + (v - g) ** 2 + (w - b) ** 2;
      nearest.set(k, palette.reduce((best, colour, i) => (i > 1 && far(colour) < far(palette[best]) ? i : best), 2));
    }
    return nearest.get(k);
  };
  const W = width * ZOOM + 2 * BORDER, H = height * ZOOM + 2 * BORDER, out = [];
  const word = (v) => out.push(v & 255, v >> 8), letters = (text) => out.push(...[...text].map((c) => c.charCodeAt(0)));
  letters("GIF89a");
  word(W); word(H);
  out.push(0xf7, 0, 0);
  for (let i = 0; i < 256; i++) out.push(...(palette[i] ?? [0, 0, 0]));
  out.push(0x21, 0xff, 11);
  letters("NETSCAPE2.0");
  out.push(3, 1, 0, 0, 0); // again and again
  for (const [rgba, given] of frames) {
    out.push(0x21, 0xf9, 4, 0);
    word(HUNDREDTHS);
    out.push(0, 0, 0x2c);
    word(0); word(0); word(W); word(H);
    out.push(0, 8);
    const pixels = new Uint8Array(W * H).fill(given ? 0 : 1);
    for (let y = 0; y < height * ZOOM; y++) for (let x = 0; x < width * ZOOM; x++) {
      const i = 4 * (Math.floor(y / ZOOM) * width + Math.floor(x / ZOOM));
      pixels[(y + BORDER) * W + x + BORDER] = place(key(rgba[i], rgba[i + 1], rgba[i + 2]));
    }
    const packed = compressed(pixels);
    for (let i = 0; i < packed.length; i += 255) { const part = packed.slice(i, i + 255); out.push(part.length, ...part); }
    out.push(0);
  }
  out.push(0x3b);
  return new Blob([new Uint8Array(out)], { type: "image/gif" });
}

function compressed(pixels) { // LZW, codes of 9 to 12 bits
  const bytes = [], CLEAR = 256, END = 257;
  let bits = 0, held = 0, size = 9, table = new Map(), next = 258;
  const put = (code) => {
    held |= code << bits;
    bits += size;
    for (; bits >= 8; bits -= 8, held >>>= 8) bytes.push(held & 255);
  };
  put(CLEAR);
  let prefix = pixels[0];
  for (let i = 1; i < pixels.length; i++) {
    const pair = (prefix << 8) | pixels[i], known = table.get(pair);
    if (known !== undefined) { prefix = known; continue; }
    put(prefix);
    if (next === 4096) { put(CLEAR); table = new Map(); next = 258; size = 9; }
    else { if (next === 1 << size) size += 1; table.set(pair, next++); }
    prefix = pixels[i];
  }
  put(prefix);
  put(END);
  if (bits) bytes.push(held & 255);
  return bytes;
}
