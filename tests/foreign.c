/* What Zydis knows and our CPU model does not. See foreign.h. */
#include "tests/foreign.h"

/* Valid for Zydis, undefined for the CPU that we model: extensions beyond x86-64-v2. */
static const struct {
	ZydisISAExt ext;
	const char *why;
} foreign_ext[] = {
    {ZYDIS_ISA_EXT_ADOX_ADCX, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_AMD3DNOW, "AMD only, withdrawn"},
    {ZYDIS_ISA_EXT_AMD_INVLPGB, "AMD only"},
    {ZYDIS_ISA_EXT_AMX_BF16, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_AMX_INT8, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_AMX_TILE, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_AVX, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_AVX2, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_AVX2GATHER, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_AVX512EVEX, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_AVX512VEX, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_AVXAES, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_AVX_VNNI, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_BMI1, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_BMI2, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_CET, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_CLFLUSHOPT, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_CLWB, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_CLZERO, "AMD only"},
    {ZYDIS_ISA_EXT_ENQCMD, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_F16C, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_FMA, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_FMA4, "AMD only"},
    {ZYDIS_ISA_EXT_GFNI, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_HRESET, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_KEYLOCKER, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_KEYLOCKER_WIDE, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_KNC, "another CPU (Knights Corner)"},
    {ZYDIS_ISA_EXT_KNCE, "another CPU (Knights Corner)"},
    {ZYDIS_ISA_EXT_KNCV, "another CPU (Knights Corner)"},
    {ZYDIS_ISA_EXT_MCOMMIT, "AMD only"},
    {ZYDIS_ISA_EXT_MONITORX, "AMD only"},
    {ZYDIS_ISA_EXT_MOVDIR, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_PADLOCK, "VIA only"},
    {ZYDIS_ISA_EXT_PCONFIG, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_PKU, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_PT, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_RDPID, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_RDPRU, "AMD only"},
    {ZYDIS_ISA_EXT_RTM, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_SERIALIZE, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_SGX, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_SGX_ENCLV, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_SHA, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_SNP, "AMD only"},
    {ZYDIS_ISA_EXT_SSE4A, "AMD only"},
    {ZYDIS_ISA_EXT_TBM, "AMD only"},
    {ZYDIS_ISA_EXT_TDX, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_TSX_LDTRK, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_UINTR, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_VAES, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_VPCLMULQDQ, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_WAITPKG, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_XOP, "AMD only"},
    {ZYDIS_ISA_EXT_XSAVEC, "not in x86-64-v2"},
    {ZYDIS_ISA_EXT_XSAVES, "not in x86-64-v2"},
};

bool foreign_instruction(const ZydisDecodedInstruction *z)
{
	for (unsigned k = 0; k < sizeof(foreign_ext) / sizeof(foreign_ext[0]); k++)
		if (foreign_ext[k].ext == z->meta.isa_ext)
			return true;
	return false;
}
