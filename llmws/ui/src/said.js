/**
 * What Python said, in the language of the page.
 *
 * The service and the kernel speak English: in logs, to programs, and in what was written down long ago. The page says
 * it in the person's language. What has no translation, a vendor's own words say, stays as it was said. The sentences
 * are a bundle of their own (chinese.js) that is asked for when the first is needed: nobody else's page grows by them.
 */
import { signal } from "@preact/signals";
import { exactTime } from "./format.js";
import { importText } from "./page.js";
import { language } from "./strings.js";

const INSTANT = /\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)/g;

/** Set once the sentences are there: an English one becomes Chinese, or null. */
const translate = signal(null);
let ask = null;
let asked = false;

/** `fetch` gives the bundle; it is called when there is something to translate. */
export function translateWith(fetch) {
  ask = fetch;
}

async function load() {
  asked = true;
  try {
    translate.value = (await importText(await ask())).translate;
  } catch (problem) {
    console.error(problem);
    asked = false;
  }
}

const local = (text) => text.replace(INSTANT, (instant) => exactTime(Date.parse(instant) / 1000));

/** `texts`, each a sentence or several, as one text. */
export function said(...texts) {
  const told = texts.filter(Boolean);
  if (language.value !== "zh") return told.map(local).join(" ");
  if (told.length && ask && !asked) load();
  const chinese = told.map((text) => translate.value?.(text) ?? text);
  // Only after a sentence in English, or before one, there is a blank.
  return local(chinese.reduce((all, text) => `${all}${/[。？！…]$/.test(all) ? "" : " "}${text}`, "").trim());
}
