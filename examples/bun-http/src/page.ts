export function page(path: string, visits: number): string {
  return `<p>Bun served ${Bun.escapeHTML(path)}, visit number ${visits}.</p>`;
}
