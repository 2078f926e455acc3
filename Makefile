# umndis build. `make` builds everything in build/debug; CFG=release|asan|tsan choose others.
# Every .c below src/<part>/ (cli apart) goes into libumndis, every folder of drivers/ becomes one
# .so, every tests/unit/*.c and bench/*.c one program, tests/conformance/*.c one program together.
CFG     ?= debug
# V=1 shows the commands
Q       := $(if $(V),,@)
CC      := clang
AR      := llvm-ar
B       := build/$(CFG)

WARN    := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wvla \
           -Wno-unused-parameter
COMMON  := -std=gnu11 -g -fms-extensions -fshort-wchar -fno-strict-aliasing -fno-omit-frame-pointer \
           -fPIC -pthread $(WARN) -MMD -MP
OPT.debug   := -O1 -DUMN_DEBUG=1
OPT.release := -O2 -DNDEBUG -mcx16 -march=x86-64-v2
OPT.asan    := -O1 -DUMN_DEBUG=1 -fsanitize=address,undefined -fno-sanitize-recover=undefined \
               -fno-sanitize=function,alignment
OPT.tsan    := -O1 -DUMN_DEBUG=1 -fsanitize=thread
LDOPT.asan  := -fsanitize=address,undefined
LDOPT.tsan  := -fsanitize=thread
CFLAGS  := -Itests/support $(COMMON) $(OPT.$(CFG)) -mcx16 -D_GNU_SOURCE -DUMN_HOST=1 -Iinclude -Iinclude/wdk -Isrc
DCFLAGS := $(COMMON) $(OPT.$(CFG)) -mcx16 -D_GNU_SOURCE -Wno-missing-prototypes -Iinclude/wdk -Iinclude/umndis
LDFLAGS := -fuse-ld=lld -pthread -rdynamic $(LDOPT.$(CFG))
LIBS    := -lsqlite3 -lmnl -ldl -lm

LIBSRC  := $(sort $(wildcard src/plat/*.c src/sched/*.c src/nt/*.c src/image/*.c src/ndis/*.c \
             src/config/*.c src/check/*.c src/trace/*.c src/box/*.c))
LIBASM  := $(sort $(wildcard src/*/*.S))
LIBOBJ  := $(LIBSRC:%.c=$(B)/%.o) $(LIBASM:%.S=$(B)/%.o)
CLIOBJ  := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard src/cli/*.c)))
DRIVERS := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard drivers/*/*.c)))))
UNIT    := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(sort $(wildcard tests/unit/*.c)))
SUPOBJ  := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/support/*.c)))
CONFOBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/conformance/*.c)))
BENCH   := $(patsubst bench/%.c,$(B)/bench/%,$(sort $(wildcard bench/*.c)))
WHOLE   := -Wl,--whole-archive $(B)/libumndis.a -Wl,--no-whole-archive

.PHONY: all lib drivers unit conformance bench docs clean
all: lib drivers $(if $(CLIOBJ),$(B)/umndis) $(UNIT) $(if $(CONFOBJ),$(B)/tests/conformance/conformance) $(BENCH)
lib: $(B)/libumndis.a
drivers: $(DRIVERS:%=$(B)/drivers/%.so)
unit: $(UNIT)
conformance: $(B)/tests/conformance/conformance drivers
bench: $(BENCH) drivers

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<
$(B)/%.o: %.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<
$(B)/drivers/%.o: drivers/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(DCFLAGS) $(DCFLAGS.$(firstword $(subst /, ,$*))) -c -o $@ $<

$(B)/libumndis.a: $(LIBOBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(B)/libumndis.so: $(LIBOBJ)
	$(Q)$(CC) -shared $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/umndis: $(CLIOBJ) $(B)/libumndis.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $(CLIOBJ) $(WHOLE) $(LIBS)

define driver_rule
$(B)/drivers/$(1).so: $(patsubst %.c,$(B)/%.o,$(sort $(wildcard drivers/$(1)/*.c)))
	$(Q)$(CC) -shared -fuse-ld=lld -pthread $(LDOPT.$(CFG)) -Wl,-soname,$(1).so -o $$@ $$^
endef
$(foreach d,$(DRIVERS),$(eval $(call driver_rule,$(d))))

# test_mux*.c are written for the harness and the scripted world of the conformance tests
MUXTEST := $(filter $(B)/tests/unit/test_mux%,$(UNIT))
$(MUXTEST): $(SUPOBJ)
$(MUXTEST): WITH := $(SUPOBJ)
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libumndis.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(WITH) $(WHOLE) $(LIBS) -lcmocka
$(B)/tests/conformance/conformance: $(CONFOBJ) $(SUPOBJ) $(B)/libumndis.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $(CONFOBJ) $(SUPOBJ) $(WHOLE) $(LIBS) -lcmocka -ljansson
$(B)/bench/%: $(B)/bench/%.o $(B)/libumndis.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(WHOLE) $(LIBS)

docs: docs/umndis.1
docs/umndis.1: docs/umndis.1.scd
	scdoc <$< >$@

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.SECONDARY:
