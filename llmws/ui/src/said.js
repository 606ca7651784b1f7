/**
 * What Python said, in the language of the page.
 *
 * The service and the kernel speak English: in logs, to programs, and in what was written down long ago. The page says
 * it in the person's language. What has no translation, a vendor's own words say, stays as it was said. The sentences
 * are a bundle of their own (chinese.js) that is asked for when the first is needed: nobody else's page grows by them.
 */
import { bundle, importText } from "./bundle.js";
import { exactTime } from "./format.js";
import { language } from "./strings.js";

const INSTANT = /\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)/g;

/** An English sentence becomes Chinese, or null. */
const chinese = bundle(async (source) => (await importText(source)).translate);

/** What is called for the bundle when there is something to translate. */
export const translateWith = chinese.from;

const local = (text) => text.replace(INSTANT, (instant) => exactTime(Date.parse(instant) / 1000));

/** `texts`, each a sentence or several, as one text. */
export function said(...texts) {
  const told = texts.filter(Boolean);
  if (language.value !== "zh") return told.map(local).join(" ");
  const translate = told.length ? chinese.need() : null;
  const translated = told.map((text) => translate?.(text) ?? text);
  // Only after a sentence in English, or before one, there is a blank.
  return local(translated.reduce((all, text) => `${all}${/[。？！…]$/.test(all) ? "" : " "}${text}`, "").trim());
}
