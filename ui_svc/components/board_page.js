export { default } from "heddle/board.js";
