#include "textflag.h"

// block copies the 16 bytes at SI+AX to DI+AX, and leaves a bit in BX for each of
// them that special would find.
//
// X4 holds 16 times a quote, X5 a backslash, X6 0x1f, and X7 the stop.
#define block \
	MOVOU (SI)(AX*1), X0 \
	MOVOU X0, (DI)(AX*1) \
	MOVO X0, X1 \
	MOVO X0, X2 \
	MOVO X0, X3 \
	PCMPEQB X4, X1 \
	PCMPEQB X5, X2 \
	PMINUB X6, X3 \
	PCMPEQB X0, X3 \
	PAND X7, X0 \
	POR X2, X1 \
	POR X3, X0 \
	POR X1, X0 \
	PMOVMSKB X0, BX

// func copyBlocks(dst, src *byte, n int, stop uint64) int
TEXT ·copyBlocks(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ $0x2222222222222222, AX
	MOVQ AX, X4
	PUNPCKLQDQ X4, X4
	MOVQ $0x5c5c5c5c5c5c5c5c, AX
	MOVQ AX, X5
	PUNPCKLQDQ X5, X5
	MOVQ $0x1f1f1f1f1f1f1f1f, AX
	MOVQ AX, X6
	PUNPCKLQDQ X6, X6
	MOVQ stop+24(FP), X7
	PUNPCKLQDQ X7, X7
	LEAQ -16(CX), DX // the last place of a block
	XORQ AX, AX

next:
	block
	TESTL BX, BX
	JNE found
	ADDQ $16, AX
	CMPQ AX, DX
	JLE next

	// The last block overlaps what is copied already, which holds no hit.
	CMPQ AX, CX
	JE end
	MOVQ DX, AX
	block
	TESTL BX, BX
	JE end

found:
	BSFL BX, BX
	ADDQ BX, AX
	MOVQ AX, ret+32(FP)
	RET

end:
	MOVQ CX, ret+32(FP)
	RET
