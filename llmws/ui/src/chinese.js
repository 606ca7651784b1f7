/**
 * What Python says in English, said in Chinese: a bundle that pages ask for. Pure.
 *
 * A sentence is looked up by itself, as gettext does. One that differs from case to case is known with holes, which
 * match whatever stands there: a name, a figure, a reason. The sentences of databases, of other processes and of older
 * versions are thereby translated too, and Python goes on raising errors in one plain string.
 */
import { ofService } from "./service-strings.js";
import { ofTraining } from "./training-strings.js";
import { ofVendors } from "./vendor-strings.js";

/** Nobody wrote more; what is longer is a stranger's. */
const LONGEST = 2_000;
const MOST = 5;
const DEEPEST = 6;
/** Holes that hold words of ours: said in Chinese where they are known, and those that have to be. */
const OURS = new Set(["amount", "held", "list", "need", "period", "why"]);
const KNOWN = new Set(["action", "kind", "limit", "sentence", "state", "what"]);
/** What may hold the end of a sentence: otherwise it is two sentences that were met. */
const LONG = new Set(["sentence", "what", "why", "words"]);
/** What stands by itself; the rest are parts of sentences, which a stranger's sentence may be made of, too. */
const isSentence = (english) => /^[^a-z].*([.?…]|\{(sentence|what)\})$/.test(english);

const sentences = [...ofService, ...ofVendors, ...ofTraining];
const exact = new Map(sentences);
const own = new Set(sentences.map(([english]) => english).filter(isSentence));
const patterns = sentences
  .map(([english, chinese]) => {
    const pieces = english.split(/\{(\w+)\}/);
    const literals = pieces.filter((_, at) => at % 2 === 0);
    return { english, literals, names: pieces.filter((_, at) => at % 2), chinese, weight: literals.join("").length };
  })
  .filter(({ names }) => names.length)
  .sort((a, b) => b.weight - a.weight);

/** What stands in the holes of a pattern; null where `text` is another sentence. Linear, whatever the text. */
function found({ literals, names }, text) {
  const last = literals.at(-1);
  const end = text.length - last.length;
  let at = literals[0].length;
  if (end <= at || !text.startsWith(literals[0]) || !text.endsWith(last)) return null;
  const values = [];
  for (const literal of literals.slice(1, -1)) {
    const next = text.indexOf(literal, at + 1);
    if (next < 0 || next >= end) return null;
    values.push(text.slice(at, next));
    at = next + literal.length;
  }
  if (at >= end) return null;
  values.push(text.slice(at, end));
  return values.some((value, hole) => /[.?!”] /.test(value) && !LONG.has(names[hole])) ? null : values;
}

/** What is put into a hole; null where it had to be known. */
function filled(name, value, depth) {
  if (name === "sentence") return (whole(value, depth) ?? whole(`${value}.`, depth))?.replace(/。$/, "") ?? null;
  if (KNOWN.has(name)) return whole(value, depth);
  if (name === "list")
    return value
      .split(/, | or /)
      .map((item) => whole(item, depth) ?? item)
      .join("、");
  if (OURS.has(name)) return whole(value, depth) ?? value;
  return name === "words" ? value : value.replace(/^'(.*)'$/, "“$1”");
}

/** One sentence; in a hole, also a part of one. */
function whole(text, depth = 0) {
  if (exact.has(text) && (depth || own.has(text))) return exact.get(text);
  if (depth > DEEPEST) return null;
  for (const pattern of patterns) {
    if (!depth && !own.has(pattern.english)) continue;
    const values = found(pattern, text)?.map((value, hole) => filled(pattern.names[hole], value, depth + 1));
    if (!values?.every((value) => value !== null)) continue;
    return pattern.chinese.replace(/\{(\w+)\}/g, (_, name) => values[pattern.names.indexOf(name)]);
  }
  return null;
}

/** `text`, of up to `most` sentences, in Chinese; null where it is not known. */
export function translate(text, most = MOST) {
  if (text.length > LONGEST) return null;
  if (own.has(text)) return exact.get(text);
  for (let at = text.indexOf(". "); at >= 0 && most > 1; at = text.indexOf(". ", at + 1)) {
    const first = whole(text.slice(0, at + 1));
    const rest = first && translate(text.slice(at + 2), most - 1);
    if (rest) return first + rest;
  }
  return whole(text);
}
