/*
 * The commands of "vmscope lab", dispatched by cli/lab.c; argv[0] is "vmscope lab check". Each returns the exit status
 * of the process.
 */
#ifndef VMSCOPE_CLI_LAB_CMDS_H
#define VMSCOPE_CLI_LAB_CMDS_H

int cmd_lab_run(int argc, char **argv);
int cmd_lab_check(int argc, char **argv);
int cmd_lab_list(int argc, char **argv);
int cmd_lab_show(int argc, char **argv);
int cmd_lab_start(int argc, char **argv);
int cmd_lab_new(int argc, char **argv);
int cmd_lab_bundle(int argc, char **argv);
int cmd_lab_verify(int argc, char **argv);
int cmd_lab_worker(int argc, char **argv);

#endif
