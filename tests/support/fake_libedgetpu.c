/* A fake libedgetpu.so.1 for the tests: a TFLite delegate plugin with the interface of the real one.

   The delegate takes over the conversions between uint8 and int8 at both ends of our models, so that every call of a model
   runs its code; the CPU does the rest. One word in the file $FAKE_CORAL sets its behaviour. The file is read each time:

     ok                  works
     absent              there is no device: returns NULL without a reason, like the real one
     load-crash          segmentation fault while loading
     load-hang           loading never returns
     tflite_runtime-crash  segmentation fault while loading, but only in tflite-runtime: built for another TFLite version
     fail                a call fails
     hang                a call never returns
     crash               segmentation fault in a call
     abort               a USB transfer fails in a call: fatal log line and abort(), as in the real driver

   The structures are the beginnings of those in tensorflow/lite/core/c/common.h, to which fields are only ever appended. */

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, ERROR = 1, UINT8 = 3, INT8 = 9, QUANTIZE = 114 };

typedef struct { int size; int data[]; } IntArray;
typedef struct { float scale; int32_t zero_point; } Quantization;

typedef struct {
    int type;
    uint8_t *data;
    IntArray *dims;
    Quantization params;
    int allocation_type;
    size_t bytes;
    const void *allocation;
    const char *name;
    void *delegate;
    int buffer_handle;
    _Bool data_is_stale, is_variable;
    struct { int type; void *params; } quantization;
    void *sparsity;
    const IntArray *dims_signature;
} Tensor;

typedef struct { IntArray *inputs, *outputs; } Node; /* the real one has more fields */

struct Context;

typedef struct {
    void *(*init)(struct Context *, const char *, size_t);
    void (*free)(struct Context *, void *);
    int (*prepare)(struct Context *, Node *);
    int (*invoke)(struct Context *, Node *);
    const char *(*profiling_string)(const struct Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *later[8]; /* fields of later versions; the structure is passed by value, so it must be large enough */
} Registration;

typedef struct Delegate {
    void *data;
    int (*Prepare)(struct Context *, struct Delegate *);
    void *copy_from, *copy_to, *free_handle;
    int64_t flags;
    void *later[4];
} Delegate;

typedef struct Context {
    size_t tensors_size;
    int (*GetExecutionPlan)(struct Context *, IntArray **);
    Tensor *tensors;
    void *impl;
    void *ResizeTensor;
    void (*ReportError)(struct Context *, const char *, ...);
    void *AddTensors;
    int (*GetNodeAndRegistration)(struct Context *, int, Node **, Registration **);
    int (*ReplaceNodeSubsetsWithDelegateKernels)(struct Context *, Registration, const IntArray *, Delegate *);
} Context;

static int behaves_as(const char *what)
{
    char word[64] = "";
    FILE *file = fopen(getenv("FAKE_CORAL"), "r");
    if (file) {
        if (fscanf(file, "%63s", word) != 1)
            word[0] = 0;
        fclose(file);
    }
    return !strcmp(word, what);
}

static int loaded(const char *library)
{
    char line[4096];
    int found = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    while (file && fgets(line, sizeof line, file))
        found |= strstr(line, library) != NULL;
    if (file)
        fclose(file);
    return found;
}

static void hang(void)
{
    for (;;)
        pause();
}

static int prepare(Context *context, Node *node)
{
    (void)context, (void)node;
    return OK;
}

static int invoke(Context *context, Node *node)
{
    const Tensor *from = &context->tensors[node->inputs->data[0]];
    const Tensor *to = &context->tensors[node->outputs->data[0]];
    if (behaves_as("fail")) {
        context->ReportError(context, "Failed to execute request. Deadline exceeded");
        return ERROR;
    }
    if (behaves_as("hang"))
        hang();
    if (behaves_as("crash"))
        raise(SIGSEGV);
    if (behaves_as("abort")) {
        fprintf(stderr, "F driver/usb/usb_driver.cc:857] transfer on tag 2 failed. Abort. USB transfer error 5\n");
        abort();
    }
    for (size_t k = 0; k < to->bytes; k++)
        to->data[k] = from->data[k] ^ 0x80; /* same scale, zero points differ by 128 */
    return OK;
}

/* Take over every QUANTIZE node of the model. */
static int prepare_delegate(Context *context, Delegate *delegate)
{
    IntArray *plan;
    if (context->GetExecutionPlan(context, &plan) != OK)
        return ERROR;
    int count = plan->size, *nodes = malloc(sizeof(int) * (size_t)count);
    memcpy(nodes, plan->data, sizeof(int) * (size_t)count);
    IntArray *one = malloc(sizeof(IntArray) + sizeof(int));
    one->size = 1;
    int status = OK;
    for (int k = 0; k < count && status == OK; k++) {
        Node *node;
        Registration *op;
        status = context->GetNodeAndRegistration(context, nodes[k], &node, &op);
        if (status != OK || op->builtin_code != QUANTIZE)
            continue;
        Registration mine = {.prepare = prepare, .invoke = invoke, .custom_name = "edgetpu-custom-op", .version = 1};
        one->data[0] = nodes[k];
        status = context->ReplaceNodeSubsetsWithDelegateKernels(context, mine, one, delegate);
    }
    free(one);
    free(nodes);
    return status;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t options, void (*report)(const char *))
{
    (void)keys, (void)values, (void)options, (void)report;
    if (behaves_as("absent"))
        return NULL;
    if (behaves_as("load-crash") || (behaves_as("tflite_runtime-crash") && loaded("tflite_runtime")))
        raise(SIGSEGV);
    if (behaves_as("load-hang"))
        hang();
    Delegate *made = calloc(1, sizeof *made);
    made->Prepare = prepare_delegate;
    return made;
}

void tflite_plugin_destroy_delegate(Delegate *delegate)
{
    free(delegate);
}
