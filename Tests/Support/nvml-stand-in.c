// Stands in for NVIDIA's management library: gives the reports and chains in the files report-N.bin
// and chain-N.pem under FOLDER, and only for the nonces that those reports answer.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// As nvml.h declares them, "Confidential Computing".
typedef struct {
    unsigned int certChainSize;
    unsigned int attestationCertChainSize;
    unsigned char certChain[0x1000];
    unsigned char attestationCertChain[0x1400];
} nvmlConfComputeGpuCertificate_t;

typedef struct {
    unsigned int isCecAttestationReportPresent;
    unsigned int attestationReportSize;
    unsigned int cecAttestationReportSize;
    unsigned char nonce[0x20];
    unsigned char attestationReport[0x2000];
    unsigned char cecAttestationReport[0x1000];
} nvmlConfComputeGpuAttestationReport_t;

typedef struct {
    unsigned int environment;
    unsigned int ccFeature;
    unsigned int devToolsMode;
} nvmlConfComputeSystemState_t;

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_FOUND = 6 };

static int started;

static int load(unsigned index, const char *name, const char *kind, unsigned char *bytes,
                unsigned capacity) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s-%u.%s", FOLDER, name, index, kind);
    FILE *file = fopen(path, "rb");
    if (!file) return -1;
    int size = (int)fread(bytes, 1, capacity, file);
    fclose(file);
    return size;
}

int nvmlInit_v2(void) {
    started = 1;
    return SUCCESS;
}
int nvmlShutdown(void) {
    started = 0;
    return SUCCESS;
}
int nvmlDeviceGetCount_v2(unsigned int *count) {
    unsigned char byte;
    if (!started) return UNINITIALIZED;
    for (*count = 0; load(*count, "report", "bin", &byte, 1) == 1; ++*count) {}
    return SUCCESS;
}
// Off where the folder has a file of that name.
int nvmlSystemGetConfComputeState(nvmlConfComputeSystemState_t *state) {
    char path[4096];
    if (!started) return UNINITIALIZED;
    snprintf(path, sizeof path, "%s/off", FOLDER);
    FILE *file = fopen(path, "rb");
    if (file) fclose(file);
    *state = (nvmlConfComputeSystemState_t){.environment = 2, .ccFeature = !file};
    return SUCCESS;
}
// Handles count from 1, so that none is null.
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    unsigned char byte;
    if (!started) return UNINITIALIZED;
    if (load(index, "report", "bin", &byte, 1) != 1) return NOT_FOUND;
    *device = (void *)(uintptr_t)(index + 1);
    return SUCCESS;
}
int nvmlDeviceGetConfComputeGpuAttestationReport(
    void *device, nvmlConfComputeGpuAttestationReport_t *report) {
    unsigned index = (unsigned)(uintptr_t)device - 1;
    int size = load(index, "report", "bin", report->attestationReport, 0x2000);
    if (size < 36 || memcmp(report->nonce, report->attestationReport + 4, 32) != 0)
        return INVALID_ARGUMENT;
    report->attestationReportSize = (unsigned)size;
    return SUCCESS;
}
int nvmlDeviceGetConfComputeGpuCertificate(void *device, nvmlConfComputeGpuCertificate_t *chain) {
    unsigned index = (unsigned)(uintptr_t)device - 1;
    int size = load(index, "chain", "pem", chain->attestationCertChain, 0x1400);
    if (size <= 0) return NOT_FOUND;
    chain->attestationCertChainSize = (unsigned)size;
    return SUCCESS;
}
