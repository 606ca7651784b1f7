/** Sums of what was used, and the same as a file. No elements here. */

const COUNTS = [
  "calls",
  "input_tokens",
  "output_tokens",
  "reasoning_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "unpriced_calls",
  "estimated_calls",
];

/** The sums over all rows, and the currencies that something was paid in. Money of two currencies is never added. */
export function totals(rows) {
  const sums = { costs: {}, ...Object.fromEntries(COUNTS.map((name) => [name, 0])) };
  for (const row of rows) {
    for (const name of COUNTS) sums[name] += row[name] ?? 0;
    for (const [currency, cost] of Object.entries(row.costs ?? {}))
      sums.costs[currency] = (sums.costs[currency] ?? 0) + Number(cost);
  }
  return { sums, currencies: Object.keys(sums.costs).sort().reverse() };
}

/** What a row is about: a day, a model, a person. */
export function nameOf(row, by) {
  const value = row[by];
  if (by === "day") return dayOf(value);
  return value == null || value === "" ? "–" : String(value);
}

/** A day as a date, whether the service tells it as one or as its first second. */
export const dayOf = (value) =>
  typeof value === "number" ? new Date(value * 1000).toISOString().slice(0, 10) : String(value).slice(0, 10);

/** What begins like a formula: spreadsheets look past spaces, and know wide signs (as transfer/table.py does). */
const FORMULA = /^[ \u00a0\u3000]*[=+\-@\t\r\n＝＋－＠]/;

/** The same where a spreadsheet begins another cell: in half of Europe Excel separates by semicolons. */
const LATER = /([;\t\r\n][ "\u00a0\u3000]*)(?=[=+\-@＝＋－＠])/g;

/** A field of a file; what a spreadsheet would take for a formula is told to be a text. */
function field(value) {
  let text = String(value ?? "");
  if (typeof value === "string") text = `${FORMULA.test(value) ? "'" : ""}${value.replace(LATER, "$1'")}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The rows as comma-separated values, a column per currency; the mark in front tells Excel that it is UTF-8. */
export function toCsv(rows, by) {
  const { currencies } = totals(rows);
  const head = [by, ...COUNTS, ...currencies.map((currency) => `cost_${currency.toLowerCase()}`)];
  const lines = rows.map((row) => [
    nameOf(row, by),
    ...COUNTS.map((name) => row[name] ?? 0),
    ...currencies.map((currency) => row.costs?.[currency] ?? ""),
  ]);
  return `\ufeff${[head, ...lines].map((line) => line.map(field).join(",")).join("\r\n")}\r\n`;
}
