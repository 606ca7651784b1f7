/** Numbers and times as a person reads them, in the language of the page. */
import { language, t } from "./strings.js";

const tag = () => (language.value === "zh" ? "zh-CN" : "en");

export const count = (value) => new Intl.NumberFormat(tag()).format(value);

/** 1,234,567 → 1.2M; 131072 → 131K */
export const short = (value) => new Intl.NumberFormat(tag(), { notation: "compact" }).format(value);

/** 0.42 → 42% */
export const percent = (value) => new Intl.NumberFormat(tag(), { style: "percent" }).format(value);

/** Seconds with a unit: 0.31 s, 4.2 s, 75 s */
export function seconds(value) {
  if (value < 0.005) return t("lasted_short", { n: count(0.01) });
  const digits = value < 1 ? 2 : value < 10 ? 1 : 0;
  return t("lasted_s", { n: new Intl.NumberFormat(tag(), { maximumFractionDigits: digits }).format(value) });
}

/** A span of time as one says it: 42 s, 12 min, 3 h 5 min */
export function duration(value) {
  const whole = Math.round(value);
  if (whole < 100) return t("lasted_s", { n: count(whole) });
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return t("lasted_min", { n: count(minutes) });
  return t("lasted_h", { h: count(Math.floor(minutes / 60)), min: minutes % 60 });
}

/** A loss: three digits that matter. */
export const loss = (value) =>
  new Intl.NumberFormat(tag(), { maximumSignificantDigits: 3, minimumSignificantDigits: 3 }).format(value);

export const speed = (value) =>
  new Intl.NumberFormat(tag(), { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);

/** Money with its currency, down to the digits that matter in a call that costs a fraction of a cent. */
export function money(value, currency) {
  const options = { style: "currency", currency, maximumSignificantDigits: 3 };
  return new Intl.NumberFormat(tag(), options).format(value);
}

/** A sum of money, or a price: with cents, and with what is finer where there is less than one. */
export function sum(value, currency) {
  const maximumFractionDigits = Math.abs(value) < 1 ? 4 : 2;
  const options = { style: "currency", currency, currencyDisplay: "narrowSymbol" };
  return new Intl.NumberFormat(tag(), { ...options, minimumFractionDigits: 2, maximumFractionDigits }).format(value);
}

/** Epoch seconds → the exact time, for a tooltip. */
export const exactTime = (at) =>
  new Intl.DateTimeFormat(tag(), { dateStyle: "medium", timeStyle: "short" }).format(at * 1000);

/** Epoch seconds → the day. */
export const dateOf = (at) => new Intl.DateTimeFormat(tag(), { dateStyle: "medium" }).format(at * 1000);

/** Epoch seconds → "3 minutes ago" */
export function relativeTime(at, now = Date.now() / 1000) {
  const units = [
    ["year", 31_557_600],
    ["month", 2_629_800],
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
  ];
  const age = at - now;
  const [unit, size] = units.find(([, length]) => Math.abs(age) >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(tag(), { numeric: "auto" }).format(Math.round(age / size), unit);
}

/** The heading under which a conversation of `at` is listed. */
export function dayGroup(at) {
  const midnight = new Date().setHours(0, 0, 0, 0) / 1000;
  if (at >= midnight) return t("time_today");
  if (at >= midnight - 86400) return t("time_yesterday");
  return t(at >= midnight - 7 * 86400 ? "time_last_week" : "time_older");
}

/** Output tokens per second after the first one, as `Message.tokens_per_s` counts them; null where not measured. */
export function tokensPerSecond({ usage, timing }) {
  if (!usage || timing?.total_s == null || timing.first_token_s == null || !(usage.output_tokens >= 2)) return null;
  const spent = timing.total_s - timing.first_token_s;
  return spent > 0 ? (usage.output_tokens - 1) / spent : null;
}
