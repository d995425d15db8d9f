export const names: string[] = ["okapi", "quokka"];
