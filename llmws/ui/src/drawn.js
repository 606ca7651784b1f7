/**
 * Resolves once what was changed is drawn: Preact does so before the next key or press is heard. In the next frame it
 * would be late: what is typed until then goes elsewhere, and a focus that was set meanwhile is taken away.
 */
export const drawn = () => Promise.resolve();
