/** Images in: from zips and folders to decoded, labelled, captioned squares. */
export { failIfAllRejected } from "./all-rejected.ts";
export { type DecodeOptions, decode, decodeImage } from "./decode.ts";
export { type ImageSource, openImages } from "./images.ts";
export { displayName } from "./names.ts";
