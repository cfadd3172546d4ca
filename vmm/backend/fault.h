/*
 * fault.h - faults on purpose: rules that say which requests of a disk or frames of a network have one. The same rules
 * give the same faults for the same requests in the same order, on every machine.
 *
 * Threads: a rule belongs to the thread that asks it.
 */
#ifndef VMM_BACKEND_FAULT_H
#define VMM_BACKEND_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum { FAULT_RULES_MAX = 16 };

enum fault_kind {
	FAULT_FAIL,      /* disk: an I/O error, and nothing is done */
	FAULT_TEAR,      /* disk: only the first sectors are written, or none; no error */
	FAULT_LOSE,      /* disk: not done, without an error; network: the frame is lost */
	FAULT_DELAY,     /* it takes longer */
	FAULT_DUPLICATE, /* network: the frame comes twice */
	FAULT_CORRUPT,   /* network: one bit of the frame is another one */
	FAULT_REORDER,   /* network: the next frame comes first */
	FAULT_KINDS,
};

enum { FAULT_CERTAIN = 1000000000 }; /* a fault_rule.chance */

/* All zero but kind, which and last: always. */
struct fault_rule {
	enum fault_kind kind;
	unsigned which;       /* a bit for each operation, or direction, that it is for */
	uint64_t first, last; /* sectors, for requests that have any */
	uint32_t chance;      /* of FAULT_CERTAIN; 0: every= decides */
	uint64_t every;       /* the Nth, the 2Nth and so on; 0: chance decides */
	uint64_t times;       /* no more often than that; 0: no limit */
	int64_t delay_ns;     /* of FAULT_DELAY */
	uint64_t seed;
	/* Since fault_rules_begin(). */
	uint64_t asked, fired;
	uint64_t random; /* the generator's state */
};

struct fault_rules {
	struct fault_rule rule[FAULT_RULES_MAX];
	unsigned nr;
};

/* Before the first request: two rules of one seed have different numbers. */
void fault_rules_begin(struct fault_rules *rules);

/* Whether a request that the rule is for has this fault now. Each call counts. */
bool fault_fires(struct fault_rule *rule);

/*
 * The rule's next random number: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators,
 * scrambled", 2016), begun with a number of SplitMix64 from the seed.
 */
uint64_t fault_random(struct fault_rule *rule);

#endif
