export { default } from "heddle/runs.js";
