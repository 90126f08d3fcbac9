import { defineConfig } from "vite";

// No inline scripts or styles: the content security policy allows none.
export default defineConfig({ base: "/", build: { assetsInlineLimit: 0, modulePreload: { polyfill: false } } });
