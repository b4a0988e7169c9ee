/**
 * All eigenvalues, ascending, of a symmetric matrix [size, size] (row-major; only the lower triangle is read).
 * Householder reduction to tridiagonal form, then implicit QL (Golub and Van Loan, Matrix Computations, 8.3;
 * Wilkinson and Reinsch 1971, II/2 and II/3). The error is a small multiple of the machine epsilon times the largest
 * eigenvalue.
 */
export function symmetricEigenvalues(matrix: Float64Array, size: number): Float64Array {
  const { diagonal, offDiagonal } = tridiagonalise(Float64Array.from(matrix), size);
  return diagonaliseTridiagonal(diagonal, offDiagonal).sort();
}

/** Works upwards from the last row, so that every inner loop runs along a row. `offDiagonal[i]` couples i and i + 1. */
function tridiagonalise(a: Float64Array, size: number): { diagonal: Float64Array; offDiagonal: Float64Array } {
  const diagonal = new Float64Array(size);
  const offDiagonal = new Float64Array(size);
  const p = new Float64Array(size);
  for (let i = size - 1; i > 0; i--) {
    diagonal[i] = a[i * size + i]!;
    const v = a.subarray(i * size, i * size + i);
    const last = v[i - 1]!;
    let rest = 0;
    for (let k = 0; k < i - 1; k++) rest += v[k]! * v[k]!;
    if (rest === 0) {
      offDiagonal[i - 1] = last;
      continue;
    }
    const alpha = last > 0 ? -Math.sqrt(rest + last * last) : Math.sqrt(rest + last * last);
    offDiagonal[i - 1] = alpha;
    v[i - 1] = last - alpha;
    const half = alpha * (alpha - last); // |v|^2 / 2

    // p = A v / half from the lower triangle alone; then A <- A - v q' - q v' with q = p - (p.v / 2 half) v.
    p.fill(0, 0, i);
    for (let j = 0; j < i; j++) {
      const row = j * size;
      const factor = v[j]!;
      let dot = 0;
      for (let k = 0; k < j; k++) {
        const value = a[row + k]!;
        dot += value * v[k]!;
        p[k]! += value * factor;
      }
      p[j]! += dot + a[row + j]! * factor;
    }
    let overlap = 0;
    for (let k = 0; k < i; k++) {
      p[k]! /= half;
      overlap += p[k]! * v[k]!;
    }
    overlap /= 2 * half;
    for (let k = 0; k < i; k++) p[k]! -= overlap * v[k]!;
    for (let j = 0; j < i; j++) {
      const row = j * size;
      const vj = v[j]!;
      const qj = p[j]!;
      for (let k = 0; k <= j; k++) a[row + k]! -= vj * p[k]! + qj * v[k]!;
    }
  }
  diagonal[0] = a[0]!;
  return { diagonal, offDiagonal };
}

/** Implicit QL with Wilkinson's shift; overwrites and returns `d`, unordered. */
function diagonaliseTridiagonal(d: Float64Array, e: Float64Array): Float64Array {
  let norm = 0;
  for (let i = 0; i < d.length; i++) norm = Math.max(norm, Math.abs(d[i]!) + Math.abs(e[i]!));
  if (!Number.isFinite(norm)) throw new RangeError("a matrix with NaN or infinity has no eigenvalues");
  const negligible = Number.EPSILON * norm;
  for (let low = 0; low < d.length; low++) {
    for (let sweep = 0; ; sweep++) {
      let high = low;
      while (high < d.length - 1 && Math.abs(e[high]!) > negligible) high++;
      if (high === low) break;
      if (sweep === 60) throw new RangeError(`eigenvalue ${low} of ${d.length} did not converge`);
      let g = (d[low + 1]! - d[low]!) / (2 * e[low]!);
      g = d[high]! - d[low]! + e[low]! / (g + (g < 0 ? -1 : 1) * Math.hypot(g, 1));
      let sine = 1;
      let cosine = 1;
      let shift = 0;
      let i = high - 1;
      for (; i >= low; i--) {
        const f = sine * e[i]!;
        const b = cosine * e[i]!;
        const r = Math.sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r === 0) break;
        sine = f / r;
        cosine = g / r;
        g = d[i + 1]! - shift;
        const t = (d[i]! - g) * sine + 2 * cosine * b;
        shift = sine * t;
        d[i + 1] = g + shift;
        g = cosine * t - b;
      }
      if (i >= low) d[i + 1]! -= shift;
      else {
        d[low]! -= shift;
        e[low] = g;
      }
      e[high] = 0;
    }
  }
  return d;
}
