/* A stand-in for libnvidia-ml.so.1 with two GPUs, so that the real nvidia-ml-py is exercised.
 * Signatures follow NVIDIA's NVML API reference. The second GPU refuses what MIG devices and
 * containers refuse: utilisation and power. */
typedef int nvmlReturn_t;
typedef void *nvmlDevice_t;
#define SUCCESS 0
#define NOT_SUPPORTED 3
#define INSUFFICIENT_SIZE 7

typedef struct { unsigned int gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct {
    unsigned int pid;
    unsigned long long usedGpuMemory;
    unsigned int gpuInstanceId, computeInstanceId;
} Process;

static int first, second;
static int is_second(nvmlDevice_t device) { return device == &second; }

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { return SUCCESS; }
nvmlReturn_t nvmlInit_v2(void) { return SUCCESS; }
nvmlReturn_t nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(nvmlReturn_t result) { return "Not Supported"; }

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return SUCCESS; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    *device = index ? &second : &first;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
    const char *text = is_second(device) ? "Stub B" : "Stub A";
    unsigned int i = 0;
    for (; text[i] && i + 1 < length; i++) name[i] = text[i];
    name[i] = 0;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, Utilization *rates) {
    if (is_second(device)) return NOT_SUPPORTED;
    rates->gpu = 97;
    rates->memory = 40;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, Memory *memory) {
    memory->total = 80ULL << 30;
    memory->used = is_second(device) ? 1ULL << 30 : 20ULL << 30;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *milliwatts) {
    if (is_second(device)) return NOT_SUPPORTED;
    *milliwatts = 402500;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int *milliwatts) {
    *milliwatts = 700000;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int *celsius) {
    *celsius = is_second(device) ? 31 : 68;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(
    nvmlDevice_t device, unsigned long long *reasons) {
    *reasons = is_second(device) ? 0 : 0x40; /* hardware thermal slowdown */
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
    const char *text = is_second(device) ? "GPU-bbbb-2" : "GPU-aaaa-1";
    unsigned int i = 0;
    for (; text[i] && i + 1 < length; i++) uuid[i] = text[i];
    uuid[i] = 0;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(
    nvmlDevice_t device, unsigned int *count, Process *processes) {
    if (is_second(device)) {
        *count = 0;
        return SUCCESS;
    }
    if (*count < 1) {
        *count = 1;
        return INSUFFICIENT_SIZE;
    }
    *count = 1;
    processes[0].pid = 1;
    processes[0].usedGpuMemory = 19ULL << 30;
    processes[0].gpuInstanceId = processes[0].computeInstanceId = 0xFFFFFFFF;
    return SUCCESS;
}
