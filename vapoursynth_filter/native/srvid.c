/* core.srvid.Upscale: the name in VapourSynth's namespace for vapoursynth_filter.upscale.
 *
 *   Upscale(clip, ...)                       VapourSynth calls `upscale` below
 *     └─ vapoursynth_filter.bridge.dispatch(token)        through the Python that hosts us
 *          └─ core.srvid.BridgeCall(token, func)          back here, on the same thread
 *               └─ callFunction(func, in, out)            VapourSynth turns nodes into Python objects
 *
 * No state outlives a call, and nothing is linked: Python's functions are looked up in the process,
 * so one binary serves every Python from 3.12 on, and a host without Python gets an error.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <VapourSynth4.h>

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
 * it comes from a script. */
typedef struct Call {
    const VSMap *in;
    VSMap *out;
    VSCore *core;
    int64_t token;
    int answered;
} Call;

static THREAD_LOCAL Call *current_call;
static THREAD_LOCAL int64_t last_token;

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

static void VS_CC upscale(const VSMap *in, VSMap *out, void *user, VSCore *core, const VSAPI *vsapi) {
    Python python;
    (void)user;
    if (!find_python(&python)) {
        vsapi->mapSetError(out, "upscale: srvid runs inside Python; use vspipe or a Python script");
        return;
    }
    Call *outer = current_call;
    Call call = {in, out, core, ++last_token, 0};
    char message[2048] = "";
    int gil = python.gil_ensure();

    current_call = &call;
    PyObject *bridge = python.import("vapoursynth_filter.bridge");
    PyObject *error = bridge ? python.call_method(bridge, "dispatch", "L", (long long)call.token) : NULL;
    current_call = outer;

    if (error) {
        copy_text(&python, error, message, sizeof message);
        python.decref(error);
        if (!*message && !call.answered)
            snprintf(message, sizeof message, "upscale: vapoursynth_filter did not answer; reinstall srvid");
    } else {
        take_error(&python, message, sizeof message);
    }
    if (bridge) python.decref(bridge);
    python.gil_release(gil);

    if (*message) {
        vsapi->clearMap(out);
        vsapi->mapSetError(out, message);
    }
}

static void VS_CC bridge_call(const VSMap *in, VSMap *out, void *user, VSCore *core, const VSAPI *vsapi) {
    Call *call = current_call;
    (void)user;
    if (!call || call->answered || call->core != core || call->token != vsapi->mapGetInt(in, "token", 0, NULL)) {
        vsapi->mapSetError(out, "BridgeCall: only srvid itself calls this, once for each Upscale");
        return;
    }
    call->answered = 1;
    VSFunction *function = vsapi->mapGetFunction(in, "func", 0, NULL);
    vsapi->callFunction(function, call->in, call->out);
    vsapi->freeFunction(function);
    vsapi->mapSetInt(out, "answered", 1, maReplace);
}

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *api) {
    api->configPlugin("dev.srvid.upscale", "srvid", "AI super-resolution", VS_MAKE_VERSION(1, 0),
                      VAPOURSYNTH_API_VERSION, 0, plugin);
    api->registerFunction("Upscale",
                          "clip:vnode;scale:int:opt;model:data:opt;backend:data:opt;streams:int:opt;"
                          "tile:int:opt;precision:data:opt;threads:int:opt;reuse:int:opt;"
                          "self_ensemble:int:opt;device:int:opt;",
                          "clip:vnode;", upscale, NULL, plugin);
    api->registerFunction("BridgeCall", "token:int;func:func;", "answered:int;", bridge_call, NULL, plugin);
}
