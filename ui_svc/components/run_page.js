export { default } from "heddle/run_page.js";
