/* core.srvid.Upscale: the name in VapourSynth's namespace for vapoursynth_filter.upscale.
 *
 *   Upscale(clip, ...)                                    VapourSynth calls `upscale` below
 *     └─ vapoursynth_filter.bridge.dispatch(token, {...})   through the Python that hosts us
 *          ├─ Upscale(any clip, scale=token) -> clip        back here, on the same thread: `exchange` hands the
 *          │                                                clip out, as an object that VapourSynth itself makes
 *          └─ Upscale(result, scale=token)                  and takes what Python made of it
 *
 * Only VapourSynth can turn nodes into Python objects and back, and only while it calls a registered function.
 * Upscale itself is that function, so nothing else has to be in the namespace for it.
 *
 * No state outlives a call, and nothing is linked: Python's functions are looked up in the process,
 * so one binary serves every Python from 3.12 on, and a host without Python gets an error.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <VapourSynth4.h>

#ifndef SRVID_VERSION /* the build hook gives it: -DSRVID_VERSION="0.1.0" */
#define SRVID_VERSION "unknown"
#endif

#ifdef _WIN32
#include <windows.h>
/* python3.dll forwards the stable ABI; VapourSynth's own module is linked against it. */
static void *symbol(const char *name) {
    HMODULE python = GetModuleHandleA("python3.dll");
    return python ? (void *)(uintptr_t)GetProcAddress(python, name) : NULL;
}
#else
#include <dlfcn.h>
static void *symbol(const char *name) { return dlsym(RTLD_DEFAULT, name); }
#endif

#if defined(_MSC_VER)
#define THREAD_LOCAL __declspec(thread)
#else
#define THREAD_LOCAL __thread
#endif

/* One call of Upscale in progress on this thread. A token is compared with `token`, never followed:
 * it comes from a script. Tokens are far below every scale that anybody could mean. */
typedef struct Call {
    const VSMap *in;
    VSMap *out;
    VSCore *core;
    int64_t token;
    enum { WAITING, ASKED, ANSWERED } state;
} Call;

#define FIRST_TOKEN (-(INT64_C(1) << 40))

static THREAD_LOCAL Call *current_call;
static THREAD_LOCAL int64_t next_token = FIRST_TOKEN;

typedef struct PyObject PyObject;

/* The part of Python's stable ABI that we use. */
typedef struct Python {
    int (*is_initialized)(void);
    int (*gil_ensure)(void);
    void (*gil_release)(int);
    PyObject *(*import)(const char *);
    PyObject *(*call_method)(PyObject *, const char *, const char *, ...);
    PyObject *(*str)(PyObject *);
    const char *(*utf8)(PyObject *, ptrdiff_t *);
    void (*decref)(PyObject *);
    PyObject *(*dict)(void);
    int (*dict_set)(PyObject *, const char *, PyObject *);
    PyObject *(*integer)(long long);
    PyObject *(*real)(double);
    PyObject *(*decode_utf8)(const char *, ptrdiff_t, const char *);
    void (*error_fetch)(PyObject **, PyObject **, PyObject **);
    void (*error_clear)(void);
} Python;

static int find_python(Python *python) {
    const struct { void *slot; const char *name; } wanted[] = {
        {&python->is_initialized, "Py_IsInitialized"},
        {&python->gil_ensure, "PyGILState_Ensure"},
        {&python->gil_release, "PyGILState_Release"},
        {&python->import, "PyImport_ImportModule"},
        {&python->call_method, "PyObject_CallMethod"},
        {&python->str, "PyObject_Str"},
        {&python->utf8, "PyUnicode_AsUTF8AndSize"},
        {&python->decref, "Py_DecRef"},
        {&python->dict, "PyDict_New"},
        {&python->dict_set, "PyDict_SetItemString"},
        {&python->integer, "PyLong_FromLongLong"},
        {&python->real, "PyFloat_FromDouble"},
        {&python->decode_utf8, "PyUnicode_DecodeUTF8"},
        {&python->error_fetch, "PyErr_Fetch"},
        {&python->error_clear, "PyErr_Clear"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *found = symbol(wanted[i].name);
        if (!found) return 0;
        *(void **)wanted[i].slot = found;
    }
    return python->is_initialized();
}

/* Copy the text of the Python string `text` to `message`; '' where there is none. */
static void copy_text(const Python *python, PyObject *text, char *message, size_t size) {
    const char *utf8 = text ? python->utf8(text, NULL) : NULL;
    snprintf(message, size, "%s", utf8 ? utf8 : "");
    if (!utf8) python->error_clear();
}

/* Describe and clear the Python exception that is set. */
static void take_error(const Python *python, char *message, size_t size) {
    PyObject *type = NULL, *value = NULL, *traceback = NULL;
    char reason[1900];
    python->error_fetch(&type, &value, &traceback);
    PyObject *text = value ? python->str(value) : NULL;
    copy_text(python, text, reason, sizeof reason);
    snprintf(message, size, "upscale: %s", *reason ? reason : "vapoursynth_filter failed without a message");
    if (text) python->decref(text);
    if (traceback) python->decref(traceback);
    if (value) python->decref(value);
    if (type) python->decref(type);
}

/* Every argument but the clip, as a dict of int, float and str; NULL with a Python exception set. */
static PyObject *options_of(const Python *python, const VSMap *in, const VSAPI *vsapi) {
    PyObject *options = python->dict();
    int failed = !options;
    for (int i = 0; !failed && i < vsapi->mapNumKeys(in); i++) {
        const char *key = vsapi->mapGetKey(in, i);
        PyObject *value;
        switch (vsapi->mapGetType(in, key)) {
        case ptInt:
            value = python->integer(vsapi->mapGetInt(in, key, 0, NULL));
            break;
        case ptFloat:
            value = python->real(vsapi->mapGetFloat(in, key, 0, NULL));
            break;
        case ptData: /* a path may hold bytes that are no UTF-8: Python keeps them as os.fsencode expects */
            value = python->decode_utf8(vsapi->mapGetData(in, key, 0, NULL), vsapi->mapGetDataSize(in, key, 0, NULL),
                                        "surrogateescape");
            break;
        default: /* the clip */
            continue;
        }
        failed = !value || python->dict_set(options, key, value);
        if (value) python->decref(value);
    }
    if (failed && options) {
        python->decref(options);
        options = NULL;
    }
    return options;
}

/* Hand the clip of the call in progress to Python, then take the result from it; 0 where this call is neither. */
static int exchange(const VSMap *in, VSMap *out, VSCore *core, const VSAPI *vsapi) {
    Call *call = current_call;
    int missing;
    double token = vsapi->mapGetFloat(in, "scale", 0, &missing); /* exact: tokens are whole and below 2^53 */
    if (!call || missing || call->core != core || (double)call->token != token || call->state == ANSWERED) return 0;
    if (call->state == WAITING) {
        vsapi->mapConsumeNode(out, "clip", vsapi->mapGetNode(call->in, "clip", 0, NULL), maReplace);
        call->state = ASKED;
    } else {
        vsapi->mapConsumeNode(call->out, "clip", vsapi->mapGetNode(in, "clip", 0, NULL), maReplace);
        vsapi->mapConsumeNode(out, "clip", vsapi->mapGetNode(in, "clip", 0, NULL), maReplace);
        call->state = ANSWERED;
    }
    return 1;
}

static void VS_CC upscale(const VSMap *in, VSMap *out, void *user, VSCore *core, const VSAPI *vsapi) {
    Python python;
    (void)user;
    if (exchange(in, out, core, vsapi)) return;
    if (!find_python(&python)) {
        vsapi->mapSetError(out, "upscale: srvid runs inside Python; use vspipe or a Python script");
        return;
    }
    Call *outer = current_call;
    Call call = {in, out, core, next_token--, WAITING};
    char message[2048] = "";
    int gil = python.gil_ensure();

    current_call = &call;
    PyObject *options = options_of(&python, in, vsapi);
    PyObject *bridge = options ? python.import("vapoursynth_filter.bridge") : NULL;
    PyObject *error = bridge ? python.call_method(bridge, "dispatch", "LO", (long long)call.token, options) : NULL;
    current_call = outer;

    if (error) {
        copy_text(&python, error, message, sizeof message);
        python.decref(error);
        if (!*message && call.state != ANSWERED)
            snprintf(message, sizeof message, "upscale: vapoursynth_filter did not answer; reinstall srvid");
    } else {
        take_error(&python, message, sizeof message);
    }
    if (bridge) python.decref(bridge);
    if (options) python.decref(options);
    python.gil_release(gil);

    if (*message) {
        vsapi->clearMap(out);
        vsapi->mapSetError(out, message);
    }
}

static void VS_CC version(const VSMap *in, VSMap *out, void *user, VSCore *core, const VSAPI *vsapi) {
    (void)in, (void)user, (void)core;
    vsapi->mapSetData(out, "version", SRVID_VERSION, -1, dtUtf8, maReplace);
}

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *api) {
    api->configPlugin("dev.srvid.upscale", "srvid", "AI super-resolution", VS_MAKE_VERSION(1, 0),
                      VAPOURSYNTH_API_VERSION, 0, plugin);
    api->registerFunction("Upscale",
                          "clip:vnode;scale:float:opt;model:data:opt;backend:data:opt;streams:int:opt;"
                          "tile:int:opt;precision:data:opt;threads:int:opt;reuse:int:opt;"
                          "strength:float:opt;sharpen:float:opt;self_ensemble:int:opt;grain:data:opt;steady:int:opt;device:int:opt;width:int:opt;height:int:opt;",
                          "clip:vnode;", upscale, NULL, plugin);
    api->registerFunction("Version", "", "version:data;", version, NULL, plugin);
}
