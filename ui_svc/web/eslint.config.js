import js from "@eslint/js";
import globals from "globals";
import ts from "typescript-eslint";
import vue from "eslint-plugin-vue";

// prettier owns the layout, so these are only rules about what code does.
export default ts.config(
  { ignores: ["node_modules/", "dist/"] },
  js.configs.recommended,
  ts.configs.recommended,
  vue.configs["flat/essential"],
  {
    files: ["**/*.vue"],
    languageOptions: { parserOptions: { parser: ts.parser } },
  },
  {
    languageOptions: { globals: globals.browser },
    rules: {
      eqeqeq: ["error", "smart"],
      "no-implicit-coercion": ["error", { boolean: false }],
      "@typescript-eslint/no-unused-expressions": ["error", { allowShortCircuit: true, allowTernary: true }],
      "@typescript-eslint/no-explicit-any": "off",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
      // The style of one component must not change another.
      "vue/enforce-style-attribute": ["error", { allow: ["scoped"] }],
      "vue/multi-word-component-names": "off",
      "vue/no-mutating-props": ["error", { shallowOnly: true }],
    },
  },
);
