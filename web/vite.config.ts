import { defineConfig } from 'vite';

export default defineConfig({
  build: {
    target: 'es2022',
    // The Content-Security-Policy allows no data: URL and no inline script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    license: { fileName: 'assets/licenses.md' },
  },
});
