/** The loss of a run, step by step, and its running mean. */
const SMOOTHING = 0.9;

/** Steps with train and evaluation loss, in order; a step that is told again is replaced. */
export class Curve {
  steps = [];
  train = [];
  evaluation = [];
  smooth = [];
  #mean = 0;
  #weight = 0;

  add(rows) {
    let from = this.steps.length;
    for (const [step, train, evaluation] of rows) {
      let at = this.steps.length;
      while (at > 0 && this.steps[at - 1] >= step) at--;
      const again = this.steps[at] === step ? 1 : 0;
      this.steps.splice(at, again, step);
      this.train.splice(at, again, train);
      this.evaluation.splice(at, again, evaluation);
      from = Math.min(from, at);
    }
    this.#smoothen(from < this.smooth.length ? 0 : from);
  }

  get last() {
    return this.steps.length - 1;
  }

  /** A running mean that does not lean on its beginning. */
  #smoothen(from) {
    if (from === 0) {
      this.#mean = this.#weight = 0;
      this.smooth = [];
    }
    for (let at = from; at < this.steps.length; at++) {
      if (this.train[at] != null) {
        this.#mean = SMOOTHING * this.#mean + (1 - SMOOTHING) * this.train[at];
        this.#weight = SMOOTHING * this.#weight + (1 - SMOOTHING);
      }
      this.smooth.push(this.train[at] != null ? this.#mean / this.#weight : null);
    }
  }
}
