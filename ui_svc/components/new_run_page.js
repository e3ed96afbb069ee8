export { default } from "heddle/new_run.js";
