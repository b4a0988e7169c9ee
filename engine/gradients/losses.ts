/**
 * tf.losses.softmaxCrossEntropy as its definition, -sum(labels * logSoftmax(logits)). TensorFlow.js's saves a value its
 * tape does not know, so that its second derivative is silently wrong, and its gradient by the labels is another function's.
 */
import { tf, type Tensor } from "../tfjs.ts";

type Loss = typeof tf.losses.softmaxCrossEntropy;

const softmaxCrossEntropy: Loss = (labels, logits, weights, smoothing = 0, reduction) => {
  const given = tf.cast(labels as Tensor, "float32");
  const scores = logits as Tensor;
  tf.util.assertShapesMatch(given.shape, scores.shape, "Error in softmaxCrossEntropy: ");
  const target = smoothing > 0 ? tf.add(tf.mul(given, 1 - smoothing), smoothing / (scores.shape.at(-1) as number)) : given;
  const losses = tf.neg(tf.sum(tf.mul(target, tf.logSoftmax(scores)), -1));
  return tf.losses.computeWeightedLoss(losses, weights as Tensor, reduction);
};
(tf.losses as { softmaxCrossEntropy: Loss }).softmaxCrossEntropy = softmaxCrossEntropy;
