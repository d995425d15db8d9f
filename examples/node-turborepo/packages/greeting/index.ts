export const greeting = (name: string) => `Hello from ${name}, in`;
