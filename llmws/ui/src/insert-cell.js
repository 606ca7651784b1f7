/**
 * A new cell below the one that shows the page, in JupyterLab.
 *
 * Lab gives widgets no interface to their notebook, but the widget manager that a front-end module gets holds the
 * document's context, and with it the shared notebook that Lab's own commands edit: what is inserted there shows in
 * all tabs, is undone by Ctrl+Z and saved with the notebook. So nothing of ours has to be installed in Lab. In Voilà
 * the context has no notebook, and nothing is offered.
 */

let notebook = null;

/** Find the notebook that shows the widget of `model`, if there is one to edit. */
export function findNotebook(model) {
  const found = model.widget_manager?.context?.model;
  notebook = found?.sharedModel?.insertCell && !found.readOnly ? found.sharedModel : null;
}

const asItIs = (text) => text;
const inBash = (text) => `%%bash\n${text}`;
const cells = { "": asItIs, python: asItIs, py: asItIs, python3: asItIs, ipython: asItIs };
Object.assign(cells, { bash: inBash, sh: inBash, shell: inBash });

/** How code of a language becomes the source of a cell; undefined where it does not. */
export const cellOf = (language) => (notebook && Object.hasOwn(cells, language) ? cells[language] : undefined);

/** Insert a code cell below the one that `element` stands in; gives what to say of it. */
export function insertCell(element, source) {
  // A view of the output elsewhere stands in no cell.
  const below = Number(element.closest("[data-windowed-list-index]")?.dataset.windowedListIndex ?? Number.NaN) + 1;
  const place = Number.isNaN(below) ? notebook.cells.length : below;
  notebook.insertCell(place, { cell_type: "code", source: source.replace(/\n$/, ""), metadata: { trusted: true } });
  return "inserted";
}
