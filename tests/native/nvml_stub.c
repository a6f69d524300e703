/* A stand-in for libnvidia-ml.so.1, so that the real nvidia-ml-py is exercised.
 * Signatures follow NVIDIA's NVML API reference. Without NVML_STUB there are two GPUs, of which the
 * second refuses what MIG devices and containers refuse: utilisation and power. NVML_STUB names a
 * file with a line for each GPU, read anew at each count; a negative number is an error of NVML:
 *   NAME UUID USE% USED_GIB TEMPERATURE MILLIWATTS THROTTLE MIG HANDLE [PID GIB [PID GIB]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int nvmlReturn_t;
typedef void *nvmlDevice_t;
#define SUCCESS 0
#define INSUFFICIENT_SIZE 7
#define MOST 16

typedef struct { unsigned int gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct {
    unsigned int pid;
    unsigned long long usedGpuMemory;
    unsigned int gpuInstanceId, computeInstanceId;
} Process;
typedef struct {
    char name[40], uuid[40];
    int use, used, temperature, milliwatts, throttle, mig, handle, pids[2], held[2], processes;
} Gpu;

static Gpu gpus[MOST] = {
    {"Stub A", "GPU-aaaa-1", 97, 20, 68, 402500, 0x40, -3, 0, {1, 0}, {19, 0}, 1},
    {"Stub B", "GPU-bbbb-2", -3, 1, 31, -3, 0, -3, 0, {0, 0}, {0, 0}, 0},
};
static int present = 2;

static void read_gpus(void) {
    const char *path = getenv("NVML_STUB");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[256];
    if (!file) return;
    for (present = 0; present < MOST && fgets(line, sizeof line, file); present++) {
        Gpu *g = &gpus[present];
        int read = sscanf(line, "%39s %39s %d %d %d %d %d %d %d %d %d %d %d", g->name, g->uuid,
                          &g->use, &g->used, &g->temperature, &g->milliwatts, &g->throttle,
                          &g->mig, &g->handle, &g->pids[0], &g->held[0], &g->pids[1], &g->held[1]);
        g->processes = (read - 9) / 2;
    }
    fclose(file);
}

static nvmlReturn_t told(int value, unsigned int *to) {
    if (value < 0) return -value;
    *to = value;
    return SUCCESS;
}
static nvmlReturn_t text(const char *from, char *to, unsigned int length) {
    strncpy(to, from, length - 1);
    to[length - 1] = 0;
    return SUCCESS;
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    const char *error = getenv("NVML_STUB_INIT");
    return error ? atoi(error) : SUCCESS;
}
nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
nvmlReturn_t nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(nvmlReturn_t result) { return "Not Supported"; }

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    read_gpus();
    *count = present;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    if (gpus[index].handle < 0) return -gpus[index].handle;
    *device = &gpus[index];
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetName(Gpu *gpu, char *name, unsigned int length) {
    return text(gpu->name, name, length);
}
nvmlReturn_t nvmlDeviceGetUUID(Gpu *gpu, char *uuid, unsigned int length) {
    return text(gpu->uuid, uuid, length);
}
nvmlReturn_t nvmlDeviceGetUtilizationRates(Gpu *gpu, Utilization *rates) {
    rates->memory = 40;
    return told(gpu->use, &rates->gpu);
}
nvmlReturn_t nvmlDeviceGetMemoryInfo(Gpu *gpu, Memory *memory) {
    if (gpu->used < 0) return -gpu->used;
    memory->total = 80ULL << 30;
    memory->used = (unsigned long long)gpu->used << 30;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetPowerUsage(Gpu *gpu, unsigned int *milliwatts) {
    return told(gpu->milliwatts, milliwatts);
}
nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(Gpu *gpu, unsigned int *milliwatts) {
    return told(700000, milliwatts);
}
nvmlReturn_t nvmlDeviceGetTemperature(Gpu *gpu, int sensor, unsigned int *celsius) {
    return told(gpu->temperature, celsius);
}
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(Gpu *gpu, unsigned long long *reasons) {
    *reasons = gpu->throttle; /* 0x40: hardware thermal slowdown */
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetMigMode(Gpu *gpu, unsigned int *now, unsigned int *then) {
    *then = 0;
    return told(gpu->mig, now);
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(
    Gpu *gpu, unsigned int *count, Process *processes) {
    unsigned int room = *count;
    *count = gpu->processes;
    if (room < *count) return INSUFFICIENT_SIZE;
    for (unsigned int at = 0; at < *count; at++) {
        processes[at].pid = gpu->pids[at];
        processes[at].usedGpuMemory = gpu->held[at] < 0 ? ~0ULL : (unsigned long long)gpu->held[at] << 30;
        processes[at].gpuInstanceId = processes[at].computeInstanceId = 0xFFFFFFFF;
    }
    return SUCCESS;
}
