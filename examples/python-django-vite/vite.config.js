import { defineConfig } from 'vite';

export default defineConfig({
  base: '/static/',
  build: { manifest: true, rollupOptions: { input: 'assets/main.js' } },
});
