/** Images in: from zips and folders to decoded, labelled, captioned squares. */
export { decode, decodeImage } from "./decode.ts";
export { openImages } from "./images.ts";
export { lossesInWords } from "./losses.ts";
export { SQUARE_FILTER } from "./square.ts";
