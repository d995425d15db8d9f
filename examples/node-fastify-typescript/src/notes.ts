export interface Note {
  readonly id: number;
  readonly text: string;
}

/** Notes in memory, in the order in which they were added. */
export class Notebook {
  readonly #notes: Note[] = [];

  add(text: string): Note {
    const note = { id: this.#notes.length + 1, text };
    this.#notes.push(note);
    return note;
  }

  all(): readonly Note[] {
    return this.#notes;
  }
}
