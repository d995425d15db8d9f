const template = Deno.readTextFileSync("templates/greeting.txt").trim();

export function greeting(name: string): string {
  return template.replace("NAME", name);
}
