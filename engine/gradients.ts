/**
 * Gradients that replace TensorFlow.js's: where its first derivative fails or is wrong, where it has no second one, and
 * where a cheaper form is as exact. With tape.ts every gradient can be differentiated again.
 */
import "./reach.ts";
import "./tape.ts";
import "./gradients/convolution.ts";
import "./gradients/elementwise.ts";
import "./gradients/losses.ts";
import "./gradients/matrix.ts";
import "./gradients/pooling.ts";
import "./gradients/reduction.ts";
import "./gradients/resizing.ts";
import "./gradients/shape.ts";
