/*
 * The constants of the transcendental functions to 128 bits, rounded down. Series coefficients are fixed point with 127
 * fraction bits; the others are unpacked numbers. Written by tools/x87-tables.
 */
#ifndef VMSCOPE_CORE_X86_X87_TABLES_H
#define VMSCOPE_CORE_X86_X87_TABLES_H

#include "core/x86/softfloat_num.h"

typedef unsigned __int128 u128;

#define U(h, l) ((u128)(h) << 64 | (l))
#define N(s, e, h, l)                                                     \
	{                                                                 \
		.class = SF_FINITE, .sign = s, .exp = e, .hi = h, .lo = l \
	}

/* 1/(2k+1)!, in units of 2^-127 */
static const u128 sin_series[17] = {
    U(0x8000000000000000, 0x0000000000000000),
    U(0x1555555555555555, 0x5555555555555555),
    U(0x0111111111111111, 0x1111111111111111),
    U(0x0006806806806806, 0x8068068068068068),
    U(0x0000171de3a556c7, 0x338faac1c88e5001),
    U(0x00000035cc8acfea, 0x89c71fce8fc9706f),
    U(0x000000005849184e, 0xa1b425f28e0cc748),
    U(0x00000000006b9fcf, 0x9ccee07c476195ac),
    U(0x000000000000654b, 0x1dc0c2b529ac9814),
    U(0x000000000000004b, 0xd26d1a05055c9328),
    U(0x0000000000000000, 0x2e371dedb9eae317),
    U(0x0000000000000000, 0x001761b413163819),
    U(0x0000000000000000, 0x000009f9e66e8b2f),
    U(0x0000000000000000, 0x00000003a356385b),
    U(0x0000000000000000, 0x0000000001259f98),
    U(0x0000000000000000, 0x00000000000050d3),
    U(0x0000000000000000, 0x0000000000000013),
};

/* 1/(2k)! */
static const u128 cos_series[17] = {
    U(0x8000000000000000, 0x0000000000000000),
    U(0x4000000000000000, 0x0000000000000000),
    U(0x0555555555555555, 0x5555555555555555),
    U(0x002d82d82d82d82d, 0x82d82d82d82d82d8),
    U(0x0000d00d00d00d00, 0xd00d00d00d00d00d),
    U(0x0000024fc9f6ef13, 0xeb8e5de02da7d4cc),
    U(0x000000047bb63bfe, 0x3625ed5136a61eb3),
    U(0x00000000064e5d2a, 0x301f27482eb7c517),
    U(0x000000000006b9fc, 0xf9ccee07c476195a),
    U(0x00000000000005a0, 0x9e18ee5f65deec01),
    U(0x0000000000000003, 0xca8574804044a0f5),
    U(0x0000000000000000, 0x0219c72db6ff0a52),
    U(0x0000000000000000, 0x0000f96780cb97ab),
    U(0x0000000000000000, 0x000000623a17f1a9),
    U(0x0000000000000000, 0x000000002143144c),
    U(0x0000000000000000, 0x000000000009c996),
    U(0x0000000000000000, 0x0000000000000286),
};

/* 1/(k+1)!, for (e^y - 1)/y with |y| < 1/92 */
static const u128 exp_series[17] = {
    U(0x8000000000000000, 0x0000000000000000),
    U(0x4000000000000000, 0x0000000000000000),
    U(0x1555555555555555, 0x5555555555555555),
    U(0x0555555555555555, 0x5555555555555555),
    U(0x0111111111111111, 0x1111111111111111),
    U(0x002d82d82d82d82d, 0x82d82d82d82d82d8),
    U(0x0006806806806806, 0x8068068068068068),
    U(0x0000d00d00d00d00, 0xd00d00d00d00d00d),
    U(0x0000171de3a556c7, 0x338faac1c88e5001),
    U(0x0000024fc9f6ef13, 0xeb8e5de02da7d4cc),
    U(0x00000035cc8acfea, 0x89c71fce8fc9706f),
    U(0x000000047bb63bfe, 0x3625ed5136a61eb3),
    U(0x000000005849184e, 0xa1b425f28e0cc748),
    U(0x00000000064e5d2a, 0x301f27482eb7c517),
    U(0x00000000006b9fcf, 0x9ccee07c476195ac),
    U(0x000000000006b9fc, 0xf9ccee07c476195a),
    U(0x000000000000654b, 0x1dc0c2b529ac9814),
};

/* 1/(2k+1), for arguments up to 1/32 */
static const u128 atan_series[14] = {
    U(0x8000000000000000, 0x0000000000000000),
    U(0x2aaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa),
    U(0x1999999999999999, 0x9999999999999999),
    U(0x1249249249249249, 0x2492492492492492),
    U(0x0e38e38e38e38e38, 0xe38e38e38e38e38e),
    U(0x0ba2e8ba2e8ba2e8, 0xba2e8ba2e8ba2e8b),
    U(0x09d89d89d89d89d8, 0x9d89d89d89d89d89),
    U(0x0888888888888888, 0x8888888888888888),
    U(0x0787878787878787, 0x8787878787878787),
    U(0x06bca1af286bca1a, 0xf286bca1af286bca),
    U(0x0618618618618618, 0x6186186186186186),
    U(0x0590b21642c8590b, 0x21642c8590b21642),
    U(0x051eb851eb851eb8, 0x51eb851eb851eb85),
    U(0x04bda12f684bda12, 0xf684bda12f684bda),
};

/* atan(k/16) */
static const struct sf_num atan_of[17] = {
    {.class = SF_ZERO},
    N(false, -5, 0xffaaddb967ef4e36, 0xcb2792dc0e2e0d51),
    N(false, -4, 0xfeadd4d5617b6e32, 0xc897989f3e888ef7),
    N(false, -3, 0xbdcbda5e72d81134, 0x7b0b4f881c9c7487),
    N(false, -3, 0xfadbafc96406eb15, 0x6dc79ef5f7a217e5),
    N(false, -2, 0x9b13b9b83f5e5e69, 0xc5abb498d27af328),
    N(false, -2, 0xb7b0ca0f26f78473, 0x8aa32122dcfe4483),
    N(false, -2, 0xd327761e611fe5b6, 0x427c95e9001e7136),
    N(false, -2, 0xed63382b0dda7b45, 0x6fe445ecbc3a8d03),
    N(false, -1, 0x832bf4a6d9867e2a, 0x4b6a09cb61a515c0),
    N(false, -1, 0x8f005d5ef7f59f9b, 0x5c835e1665c43747),
    N(false, -1, 0x9a2f80e671bdda20, 0x4226f8e2204ff3bc),
    N(false, -1, 0xa4bc7d1934f70924, 0x19a87f2a457dac9e),
    N(false, -1, 0xaeac4c38b4d8c080, 0x14725e2f3e52070a),
    N(false, -1, 0xb8053e2bc2319e73, 0xcb2da55210a4443d),
    N(false, -1, 0xc0ce85b8ac526640, 0x89dd62c46e92fa24),
    N(false, -1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1),
};

/* log2(k/32) for k = 22 to 46 */
static const struct sf_num log2_of[25] = {
    N(true, -1, 0x8a62b07f3457c407, 0x050799beaaab2940),
    N(true, -2, 0xf3efaff29c559a77, 0xda8ad649da21eaaf),
    N(true, -2, 0xd47fcb8c0852f0c0, 0xbfe9dbebf2e8a45d),
    N(true, -2, 0xb6587b432e47501b, 0x6d40900b25024b32),
    N(true, -2, 0x995ff71b8773432d, 0x124bc6f1acf95dc3),
    N(true, -3, 0xfafec54831f1a484, 0x7f7b2787b173da32),
    N(true, -3, 0xc544c055fde99333, 0x54dbf16fb0695ee3),
    N(true, -3, 0x916d6e1559a4b696, 0x91d79938e7226383),
    N(true, -4, 0xbeb024b67dda6339, 0xda288fc615a727db),
    N(true, -5, 0xbb9ca64ecac6aaef, 0x2e1c07f0438ebabf),
    {.class = SF_ZERO},
    N(false, -5, 0xb5d69bac77ec3989, 0xb03784b5be084906),
    N(false, -4, 0xb31fb7d64898b3e6, 0x629c130a22bad61e),
    N(false, -3, 0x8462c466d3cf1cb1, 0x3de37e852a9455ea),
    N(false, -3, 0xae00d1cfdeb43cfd, 0x00589050345d6e89),
    N(false, -3, 0xd67af16da7649f7f, 0x08f65e00c1b1a5a9),
    N(false, -3, 0xfde0b5c81340511d, 0x46ccc53c2779af92),
    N(false, -2, 0x92203d587039cc12, 0x2dca5d22601dfdde),
    N(false, -2, 0xa4d3c25e68dc57f2, 0x495fb7fa6d7eda66),
    N(false, -2, 0xb7110e6ce866f2bc, 0x6a905a27b81e2219),
    N(false, -2, 0xc8ddd448f8b845a5, 0x95a82b5c34e2ac30),
    N(false, -2, 0xda3f5fb9c4150520, 0xa377c7ec513c756e),
    N(false, -2, 0xeb3a9f01975077f1, 0xf5f0cc82aaa9ad7e),
    N(false, -2, 0xfbd42b4658367670, 0xc98c002287ad91ab),
    N(false, -1, 0x86082806b1d532c4, 0x12ba94db12ef0aa8),
};

/* 2^(k/32) */
static const struct sf_num exp2_of[32] = {
    N(false, 0, 0x8000000000000000, 0x0000000000000000),
    N(false, 0, 0x82cd8698ac2ba1d7, 0x3e2a475b46520bff),
    N(false, 0, 0x85aac367cc487b14, 0xc5c95b8c2154c1b2),
    N(false, 0, 0x88980e8092da8527, 0x5df8d76c98c67562),
    N(false, 0, 0x8b95c1e3ea8bd6e6, 0xfbe4628758a53c90),
    N(false, 0, 0x8ea4398b45cd53c0, 0x2dc0144c8783d4c5),
    N(false, 0, 0x91c3d373ab11c336, 0x0fd6d8e0ae5ac9d8),
    N(false, 0, 0x94f4efa8fef70961, 0x2e8afad12551de54),
    N(false, 0, 0x9837f0518db8a96f, 0x46ad23182e42f6f6),
    N(false, 0, 0x9b8d39b9d54e5538, 0xa2a817a2a3cc3f1f),
    N(false, 0, 0x9ef5326091a111ad, 0xa0911f09ebb9fdd1),
    N(false, 0, 0xa27043030c496818, 0x9b7a04ef80cfdea7),
    N(false, 0, 0xa5fed6a9b15138ea, 0x1cbd7f621710701b),
    N(false, 0, 0xa9a15ab4ea7c0ef8, 0x541e24ec3531fa73),
    N(false, 0, 0xad583eea42a14ac6, 0x4980a8c8f59a2ec4),
    N(false, 0, 0xb123f581d2ac258f, 0x87d037e96d215d8e),
    N(false, 0, 0xb504f333f9de6484, 0x597d89b3754abe9f),
    N(false, 0, 0xb8fbaf4762fb9ee9, 0x1b879778566b65a1),
    N(false, 0, 0xbd08a39f580c36be, 0xa8811fb66d0faf7a),
    N(false, 0, 0xc12c4cca66709456, 0x7c457d59a50087b5),
    N(false, 0, 0xc5672a115506dadd, 0x3e2ad0c964dd9f37),
    N(false, 0, 0xc9b9bd866e2f27a2, 0x80e1f92a0511697e),
    N(false, 0, 0xce248c151f8480e3, 0xe235838f95f2c6ed),
    N(false, 0, 0xd2a81d91f12ae45a, 0x12248e57c3de4028),
    N(false, 0, 0xd744fccad69d6af4, 0x39a68bb9902d3fde),
    N(false, 0, 0xdbfbb797daf23755, 0x3d840d5a9e29aa64),
    N(false, 0, 0xe0ccdeec2a94e111, 0x065895048dd333ca),
    N(false, 0, 0xe5b906e77c8348a8, 0x1e5e8f4a4edbb0ec),
    N(false, 0, 0xeac0c6e7dd24392e, 0xd02d75b3706e54fa),
    N(false, 0, 0xefe4b99bdcdaf5cb, 0x46561cf6948db912),
    N(false, 0, 0xf5257d152486cc2c, 0x7b9d0c7aed980fc3),
    N(false, 0, 0xfa83b2db722a033a, 0x7c25bb14315d7fcc),
};

static const struct sf_num num_pi = N(false, 1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1);

static const struct sf_num num_half_pi = N(false, 0, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1);

static const struct sf_num num_log2_e = N(false, 0, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88);

static const struct sf_num num_ln_2 = N(false, -1, 0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af);

static const struct sf_num num_three_quarters_pi = N(false, 1, 0x96cbe3f9990e91a7, 0x9394c9e8a0a5159c);

static const struct sf_num num_quarter_pi = N(false, -1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1);

#undef U
#undef N

#endif
