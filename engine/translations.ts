/** All kernels' translations and gradients, registered. */
import "./kernels/elementwise.ts";
import "./kernels/shape.ts";
import "./kernels/reduction.ts";
import "./kernels/matrix.ts";
import "./kernels/convolution.ts";
import "./kernels/depthwise.ts";
import "./kernels/pooling.ts";
import "./kernels/resizing.ts";
import "./kernels/indexing.ts";
import "./kernels/normalisation.ts";
import "./composed.ts";
import "./volumes.ts";
import "./gradients.ts";
