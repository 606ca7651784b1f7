/** The look of every page, before any style of its own: the build puts this file first (`inject` in build.mjs). */
import "./tokens.css";
import "./controls.css";
import "./frame.css";
import "./markdown.css";
