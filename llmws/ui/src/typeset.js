/** The typesetter of formulas, a bundle of its own: KaTeX, its style and its fonts. See math.js. */
import katex from "katex";
import "katex/dist/katex.css";

const MOST_EXPANSIONS = 300;
/** In em: nothing covers the page. */
const LARGEST = 20;

/** The HTML of a formula, with MathML for who hears it; null where it is none. Nothing in it leads elsewhere. */
export function typeset(tex, displayMode) {
  try {
    return katex.renderToString(tex, {
      displayMode,
      maxExpand: MOST_EXPANSIONS,
      maxSize: LARGEST,
      strict: "ignore",
      trust: false,
    });
  } catch {
    return null;
  }
}
