/**
 * What was told of things one by one. A list of them that was asked for before, and comes in after, takes nothing back.
 */
export class Told {
  #news = new Map();

  /** The thing of this id is `thing` now; null where it is gone. */
  know(id, thing) {
    this.#news.set(id, { thing, at: performance.now() });
  }

  /** It is about to be that: whoever reads it before `know` is called again, does not know. */
  expect(id, thing) {
    this.#news.set(id, { thing, at: Number.POSITIVE_INFINITY });
  }

  /** `things` as they were read by who `asked` at a time, and as they were told of since: changed, gone or new. */
  over(things, asked) {
    const since = new Map([...this.#news].filter(([, { at }]) => at >= asked));
    const read = things.map((one) => (since.has(one.id) ? since.get(one.id).thing : one));
    for (const { id } of things) since.delete(id);
    return [...read, ...[...since.values()].map(({ thing }) => thing)].filter(Boolean);
  }
}
