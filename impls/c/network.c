/* Training and outputs of one network, compiled with -DREAL=float or -DREAL=double.

Rows of weights, activations and deltas are filled up with zeros to whole vectors, so that no loop over units has a rest.
The row of weights after the last input holds the biases; an image, and a layer's activations, have a 1 there. So biases
need no code of their own. The weights into the first layer are shared by columns in both directions, so that each thread
finds its part in its own cache; in the other layers the threads share the images. */

#include <stdint.h>
#include <tgmath.h> /* exp, log and tanh of either type */

typedef REAL real;

#if defined(__AVX512F__)
enum { BYTES = 64, VECTORS = 4 }; /* of a vector register; and how many of them are summed at a time, for each of GROUP */
#elif defined(__AVX__)
enum { BYTES = 32, VECTORS = 2 };
#else
enum { BYTES = 16, VECTORS = 2 };
#endif
enum { LANES = BYTES / sizeof(real), GROUP = 4, BLOCK = 128 }; /* images, or rows, that share a load; images at a time */
enum { TILE = VECTORS * LANES }; /* columns that are summed at a time */
enum { SIGMOID, RELU, TANH, SOFTMAX };

typedef real vector __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));

struct layer {
    long inputs, units;       /* inputs: of the layer before, without the 1 */
    long width, stride;       /* numbers in a row of weights or deltas; in one of activations, which has room for the 1 */
    real *weights, *velocity, *gradient; /* (inputs + 1 rounded up to GROUP, width) */
    real *transposed;         /* (units, width of the layer before), without biases */
    real *a, *delta;          /* (BLOCK, stride), (BLOCK, width) */
};

struct network {
    long layers, hidden, output;
    struct layer *layer;
};

struct update {
    real rate, momentum, images;
    int first, last;          /* whether the block of images begins, and ends, its update */
};

long lanes = LANES, group = GROUP, block = BLOCK; /* read by Python */

/* --- products, a few vectors of columns at a time: inlined with a constant `v`, sums stay in registers ------------ */

static long least(long a, long b) { return a < b ? a : b; }

#define INLINE static inline __attribute__((always_inline))

/* z = x @ w for GROUP rows x of n numbers, and v vectors of columns. */
INLINE void product_tile(int v, const real *const x[GROUP], long n, const real *w, long width, real *z, long stride)
{
    vector sum[GROUP][4];
    for (int r = 0; r < GROUP; r++)
        for (int c = 0; c < v; c++)
            sum[r][c] = (vector){0};
    for (long i = 0; i < n; i++, w += width)
        for (int c = 0; c < v; c++) {
            vector weights = ((const vector *)w)[c];
            for (int r = 0; r < GROUP; r++)
                sum[r][c] += x[r][i] * weights;
        }
    for (int r = 0; r < GROUP; r++)
        for (int c = 0; c < v; c++)
            ((vector *)(z + r * stride))[c] = sum[r][c];
}

/* The gradient of GROUP rows of weights, x.T @ delta of n images, is added up or, at the end of an update, applied. */
INLINE void gradient_tile(int v, const real *const x[], long i, long n, const real *delta, long width,
                          const struct layer *layer, long place, const struct update *update)
{
    vector sum[GROUP][4];
    for (int r = 0; r < GROUP; r++)
        for (int c = 0; c < v; c++)
            sum[r][c] = (vector){0};
    for (long k = 0; k < n; k++, delta += width)
        for (int c = 0; c < v; c++) {
            vector deltas = ((const vector *)delta)[c];
            for (int r = 0; r < GROUP; r++)
                sum[r][c] += x[k][i + r] * deltas;
        }
    for (int r = 0; r < GROUP; r++, place += width)
        for (int c = 0; c < v; c++) {
            vector *p = (vector *)(layer->weights + place) + c, *velocity = (vector *)(layer->velocity + place) + c;
            vector *total = (vector *)(layer->gradient + place) + c;
            vector g = sum[r][c];
            if (!update->first)
                g += *total;
            if (!update->last) {
                *total = g;
            } else if (update->momentum > 0) {
                g /= update->images;
                *velocity = update->momentum * *velocity + g;
                *p -= update->rate * (g + update->momentum * *velocity);
            } else {
                *p -= update->rate / update->images * g;
            }
        }
}

/* The same for the columns of the tile at `column`, of which the last may have fewer vectors. */
static void product(const real *const x[GROUP], long n, const real *w, long width, long column, real *z, long stride)
{
    w += column, z += column;
    switch (least((width - column) / LANES, VECTORS)) {
    case 1: product_tile(1, x, n, w, width, z, stride); break;
    case 2: product_tile(2, x, n, w, width, z, stride); break;
    case 3: product_tile(3, x, n, w, width, z, stride); break;
    default: product_tile(4, x, n, w, width, z, stride);
    }
}

static void gradient(const struct layer *layer, const real *const x[], long i, long column, long n,
                     const struct update *update)
{
    long width = layer->width, place = i * width + column;
    const real *delta = layer->delta + column;
    switch (least((width - column) / LANES, VECTORS)) {
    case 1: gradient_tile(1, x, i, n, delta, width, layer, place, update); break;
    case 2: gradient_tile(2, x, i, n, delta, width, layer, place, update); break;
    case 3: gradient_tile(3, x, i, n, delta, width, layer, place, update); break;
    default: gradient_tile(4, x, i, n, delta, width, layer, place, update);
    }
}

/* --- one layer of one image -------------------------------------------------------------------------------------- */

/* a = activation(z), in place. */
static void activate(long kind, real *restrict a, long units)
{
    if (kind == RELU)
        for (long j = 0; j < units; j++)
            a[j] = a[j] < 0 ? 0 : a[j]; /* NaN is kept */
    else if (kind == TANH)
        for (long j = 0; j < units; j++)
            a[j] = tanh(a[j]);
    else /* the sigmoid; so it cannot overflow */
        for (long j = 0; j < units; j++)
            a[j] = (1 + tanh(a[j] / 2)) / 2;
}

/* delta *= activation'(z), from a = activation(z). */
static void times_derivative(long kind, const real *restrict a, real *restrict delta, long units)
{
    if (kind == RELU)
        for (long j = 0; j < units; j++)
            delta[j] = a[j] <= 0 ? 0 : delta[j];
    else if (kind == TANH)
        for (long j = 0; j < units; j++)
            delta[j] *= 1 - a[j] * a[j];
    else
        for (long j = 0; j < units; j++)
            delta[j] *= a[j] * (1 - a[j]);
}

/* a = softmax(z), in place; returns the logarithm of the sum of exp(z). */
static real softmax(real *a, long units)
{
    real highest = a[0], sum = 0;
    for (long j = 1; j < units; j++)
        highest = a[j] > highest ? a[j] : highest;
    for (long j = 0; j < units; j++)
        sum += a[j] = exp(a[j] - highest);
    for (long j = 0; j < units; j++)
        a[j] /= sum;
    return highest + log(sum);
}

/* a = output(z), in place, and delta = d cost / dz; returns the cost. */
static real cost_and_delta(long output, real *a, real *delta, long units, long label)
{
    real z = a[label], cost = 0;
    if (output == SOFTMAX)
        cost = softmax(a, units) - z;
    else
        activate(output, a, units);
    for (long j = 0; j < units; j++)
        delta[j] = a[j] - (j == label);
    if (output == SOFTMAX)
        return cost;
    for (long j = 0; j < units; j++)
        cost += delta[j] * delta[j] / 2;
    times_derivative(output, a, delta, units);
    return cost;
}

/* --- a block of n images, at x; `omp for` shares a loop among the threads, which all come here -------------------- */

/* The first layer: threads share its columns and, where they are more than its tiles, the images. */
static void first_layer(const struct network *network, const real *const x[], long n)
{
    const struct layer *l = network->layer;
#pragma omp for collapse(2) schedule(static)
    for (long column = 0; column < l->width; column += TILE)
        for (long k = 0; k < n; k += GROUP) {
            product(x + k, l->inputs + 1, l->weights, l->width, column, l->a + k * l->stride, l->stride);
            for (long r = k; network->layers > 1 && r < k + GROUP; r++)
                activate(network->hidden, l->a + r * l->stride + column, least(TILE, l->units - column));
        }
}

/* rows = where GROUP rows of a matrix begin. */
static void rows_of(const real *matrix, long k, long stride, const real *rows[GROUP])
{
    for (int r = 0; r < GROUP; r++)
        rows[r] = matrix + (k + r) * stride;
}

/* The layers after the first of images k to k + GROUP, up to z of the last. */
static void other_layers(const struct network *network, long k)
{
    const real *x[GROUP];
    for (long number = 1; number < network->layers; number++) {
        const struct layer *l = network->layer + number, *before = l - 1;
        for (long r = k; r < k + GROUP; r++)
            before->a[r * before->stride + before->units] = 1;
        rows_of(before->a, k, before->stride, x);
        for (long column = 0; column < l->width; column += TILE)
            product(x, l->inputs + 1, l->weights, l->width, column, l->a + k * l->stride, l->stride);
        for (long r = k; number < network->layers - 1 && r < k + GROUP; r++)
            activate(network->hidden, l->a + r * l->stride, l->units);
    }
}

/* The deltas of the layers before the last, of the same images. */
static void back(const struct network *network, long k)
{
    const real *delta[GROUP];
    for (const struct layer *l = network->layer + network->layers - 1; l > network->layer; l--) {
        const struct layer *before = l - 1;
        rows_of(l->delta, k, l->width, delta);
        for (long column = 0; column < before->width; column += TILE)
            product(delta, l->units, l->transposed, before->width, column, before->delta + k * before->width,
                    before->width);
        for (long r = k; r < k + GROUP; r++)
            times_derivative(network->hidden, before->a + r * before->stride, before->delta + r * before->width,
                             before->units);
    }
}

/* The gradients of all layers; the first is shared by columns and, where that is not enough, by rows of weights. */
static void all_gradients(const struct network *network, const real *const x[], long n, const struct update *update)
{
    const struct layer *l = network->layer;
#pragma omp for collapse(2) schedule(static) nowait
    for (long column = 0; column < l->width; column += TILE)
        for (long i = 0; i <= l->inputs; i += GROUP)
            gradient(l, x, i, column, n, update);
    const real *a[BLOCK];
    for (l++; l < network->layer + network->layers; l++) {
        for (long k = 0; k < n; k++)
            a[k] = l[-1].a + k * l[-1].stride;
#pragma omp for schedule(static) nowait
        for (long i = 0; i <= l->inputs; i += GROUP) {
            for (long column = 0; column < l->width; column += TILE)
                gradient(l, a, i, column, n, update);
            for (long r = i; r < least(i + GROUP, l->inputs); r++)
                for (long j = 0; j < l->units; j++)
                    l->transposed[j * l[-1].width + r] = l->weights[r * l->width + j];
        }
    }
#pragma omp barrier
}

/* x = where the images of a block begin; those that fill up the last group are the last image. */
static void find(const real *images, long stride, const int64_t *order, long start, long n, const real *x[BLOCK])
{
    for (long k = 0; k < BLOCK; k++) {
        long place = start + least(k, n - 1);
        x[k] = images + (order ? order[place] : place) * stride;
    }
}

/* --- what Python calls ------------------------------------------------------------------------------------------- */

/* Train on the images order[starts[u]:stops[u]], or starts[u]:stops[u] without an order, of each update u. */
void train(const struct network *network, const real *images, long stride, const int64_t *labels, const int64_t *order,
           long updates, const int64_t *starts, const int64_t *stops, const real *rates, real momentum, real *costs)
{
    const struct layer *last = network->layer + network->layers - 1;
    real of_image[BLOCK];
#pragma omp parallel
    for (long u = 0; u < updates; u++)
        for (long start = starts[u]; start < stops[u]; start += BLOCK) {
            long n = least(BLOCK, stops[u] - start);
            struct update update = {rates[u], momentum, stops[u] - starts[u], start == starts[u], start + n == stops[u]};
            const real *x[BLOCK];
            find(images, stride, order, start, n, x);
            first_layer(network, x, n);
#pragma omp for schedule(static)
            for (long k = 0; k < n; k += GROUP) {
                other_layers(network, k);
                for (long r = k; r < least(k + GROUP, n); r++)
                    of_image[r] = cost_and_delta(network->output, last->a + r * last->stride, last->delta + r * last->width,
                                                 last->units, labels[order ? order[start + r] : start + r]);
                back(network, k);
            }
#pragma omp master
            {
                real sum = 0;
                for (long k = 0; k < n; k++)
                    sum += of_image[k];
                costs[u] += sum / update.images;
            }
            all_gradients(network, x, n, &update);
        }
}

/* result = the outputs of n images, (n, outputs). */
void outputs(const struct network *network, const real *images, long stride, long n, real *result)
{
    const struct layer *last = network->layer + network->layers - 1;
#pragma omp parallel
    for (long start = 0; start < n; start += BLOCK) {
        long size = least(BLOCK, n - start);
        const real *x[BLOCK];
        find(images, stride, 0, start, size, x);
        first_layer(network, x, size);
#pragma omp for schedule(static)
        for (long k = 0; k < size; k += GROUP) {
            other_layers(network, k);
            for (long r = k; r < least(k + GROUP, size); r++) {
                real *a = last->a + r * last->stride;
                if (network->output == SOFTMAX)
                    softmax(a, last->units);
                else
                    activate(network->output, a, last->units);
                for (long j = 0; j < last->units; j++)
                    result[(start + r) * last->units + j] = a[j];
            }
        }
    }
}
