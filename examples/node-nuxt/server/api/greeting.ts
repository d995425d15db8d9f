export default defineEventHandler(() => ({ greeting: "Hello from Nuxt" }));
