// Bytes, and how people read and write them. Nothing here touches the document.

const LIST_LETTERS_MAX = 60; // of a list on one line
const JSON_GROWTH_MAX = 32; // letters of indented JSON for one of its text: what is nested deeper would be blanks only
const JSON_LETTERS_FREE = 65536; // that any text may grow to
const number = new Intl.NumberFormat("en");

/** Base64 of the gateway, perhaps absent, as bytes. */
function bytesOf(base64) {
  return Uint8Array.from(atob(base64 ?? ""), (letter) => letter.charCodeAt(0));
}

function base64Of(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of UTF-8 bytes, or null. */
function utf8(bytes) {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

// Controls, marks that turn the direction of text around, what is invisible: they could make a key look like another.
const unseen = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/gu;

function escaped(letter) {
  if (letter === "\n") return "\\n";
  if (letter === "\t") return "\\t";
  const code = letter.codePointAt(0);
  return code < 128 ? "\\x" + code.toString(16).padStart(2, "0") : `\\u{${code.toString(16)}}`;
}

/** Bytes as one line: UTF-8 where it is, \xNN where it is not; `parse` reads it. */
function shown(bytes) {
  const whole = utf8(bytes);
  if (whole !== null) return whole.replaceAll("\\", "\\\\").replace(unseen, escaped);
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const size = lengthAt(bytes, at);
    const letter = size ? utf8(bytes.subarray(at, at + size)) : null;
    if (letter === null) {
      text += "\\x" + bytes[at].toString(16).padStart(2, "0");
      at += 1;
    } else {
      text += letter === "\\" ? "\\\\" : letter.replace(unseen, escaped);
      at += size;
    }
  }
  return text;
}

function lengthAt(bytes, at) {
  const first = bytes[at];
  const size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  return at + size <= bytes.length ? size : 0;
}

const escapes = /\\(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,6})\}|([nt\\]))/g;

/** What a person typed, as bytes: the reverse of `shown`. A backslash that begins no escape is a backslash. */
function parse(text) {
  const encoder = new TextEncoder();
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(escapes)) {
    parts.push(encoder.encode(text.slice(from, found.index)));
    const [all, byte, code, letter] = found;
    if (byte) parts.push([parseInt(byte, 16)]);
    else if (code && parseInt(code, 16) > 0x10ffff) parts.push(encoder.encode(all));
    else if (code) parts.push(encoder.encode(String.fromCodePoint(parseInt(code, 16))));
    else parts.push(encoder.encode({ n: "\n", t: "\t", "\\": "\\" }[letter]));
    from = found.index + all.length;
  }
  parts.push(encoder.encode(text.slice(from)));
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The first key behind all that begin with a prefix; [0] stands for the end of the key space. */
function endOf(prefix) {
  for (let at = prefix.length - 1; at >= 0; at -= 1) {
    if (prefix[at] < 255) {
      const end = prefix.slice(0, at + 1);
      end[at] += 1;
      return end;
    }
  }
  return Uint8Array.of(0);
}

/** The key right behind a key. */
function after(key) {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

function same(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

function startsWith(bytes, prefix) {
  return bytes.length >= prefix.length && same(bytes.subarray(0, prefix.length), prefix);
}

/** A text of JSON with line breaks and indents; its numbers stay as they are written. Null: it is no JSON, or nested too deep. */
function prettyJson(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  let out = "";
  let depth = 0;
  const most = Math.max(JSON_LETTERS_FREE, JSON_GROWTH_MAX * text.length);
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g) ?? [];
  const line = () => "\n" + "  ".repeat(depth);
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at];
    const short = token === "[" ? shortList(tokens, at) : null;
    if (short !== null) {
      out += short;
      at = tokens.indexOf("]", at);
    } else if (token === "{" || token === "[") {
      depth += 1;
      out += token;
      if (!"}]".includes(tokens[at + 1])) out += line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      out += ("{[".includes(tokens[at - 1]) ? "" : line()) + token;
    } else if (token === ",") out += token + line();
    else out += token === ":" ? ": " : token;
    if (out.length > most) return null;
  }
  return out;
}

/** A list without lists or objects in it that fits on a line, as one; null for others. */
function shortList(tokens, at) {
  let text = "[";
  for (let next = at + 1; text.length < LIST_LETTERS_MAX; next += 1) {
    const token = tokens[next];
    if (token === "[" || token === "{") return null;
    text += token === "," ? ", " : token;
    if (token === "]") return text.length > LIST_LETTERS_MAX ? null : text;
  }
  return null;
}

/** Offset, sixteen bytes, and what they are as ASCII. */
function hexDump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = [...bytes.subarray(at, at + 16)];
    const hex = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join("\n");
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes / 1024;
  while (value >= 1000 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[0]}`;
}

/** Seconds as people say them: the two largest units. */
function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = whole;
  const said = [];
  for (const [name, length] of parts) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count) said.push(`${count} ${name}`);
    if (said.length === 2 || (said.length === 1 && !count)) break;
  }
  return said.join(" ") || "0 s";
}

/** An ID of a lease as etcdctl prints it, of the gateway's decimal text. */
function leaseHex(decimal) {
  return BigInt.asUintN(64, BigInt(decimal)).toString(16);
}

function plural(count, one, many = one + "s") {
  return `${number.format(count)} ${count === 1 ? one : many}`;
}
