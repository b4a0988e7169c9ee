/** Images in: from zips and folders to decoded, labelled, captioned images of one size. */
export { decode, decodeImage } from "./decode.ts";
export { openImages } from "./images.ts";
export { omissionsInWords } from "./omissions.ts";
export { CROP_FILTER } from "./crop.ts";
