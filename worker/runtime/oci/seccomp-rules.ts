/**
 * Which system calls a container may make: Docker's default rules, as facts in our own form. A line is
 * a group of calls that are allowed together; what stands in no group fails with EPERM.
 */
export interface SeccompRule {
  readonly calls: string;
  /** Only with this capability. */
  readonly capability?: string;
  /** Only without this capability. */
  readonly withoutCapability?: string;
  /** Only on these machines. */
  readonly architectures?: readonly string[];
  /** One rule for each: argument number, comparison, value, and the second value of a mask. */
  readonly when?: readonly (readonly [number, 'LT' | 'EQ' | 'MASKED_EQ', number, number?])[];
  /** Refused with this error instead of allowed. */
  readonly errno?: number;
}

const FILES =
  'access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 ' +
  'faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat ' +
  'fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock ' +
  'fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 ' +
  'futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init ' +
  'inotify_init1 inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listmount listxattr ' +
  'listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod ' +
  'mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 ' +
  'pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat ' +
  'rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 ' +
  'statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs tee truncate ' +
  'truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev';

const PROCESSES =
  'capget capset execve execveat exit exit_group fork getcpu getegid getegid32 geteuid geteuid32 ' +
  'getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getresgid ' +
  'getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid get_thread_area ' +
  'gettid getuid getuid32 ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset ' +
  'landlock_restrict_self membarrier pause pidfd_open pidfd_send_signal prctl prlimit64 ' +
  'process_mrelease restart_syscall riscv_hwprobe rseq rt_sigaction rt_sigpending rt_sigprocmask ' +
  'rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 ' +
  'rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max ' +
  'sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 ' +
  'sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp setfsgid ' +
  'setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setpriority ' +
  'setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit ' +
  'set_robust_list setsid set_thread_area set_tid_address setuid setuid32 sigaltstack sigprocmask ' +
  'sigreturn sysinfo tgkill times tkill ugetrlimit uname uretprobe vfork wait4 waitid waitpid';

const MEMORY =
  'brk madvise map_shadow_stack memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 ' +
  'mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect ' +
  'remap_file_pages';

const WAITING =
  'adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime ' +
  'clock_gettime64 clock_nanosleep clock_nanosleep_time64 epoll_create epoll_create1 epoll_ctl ' +
  'epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 futex ' +
  'futex_requeue futex_time64 futex_wait futex_waitv futex_wake getitimer gettimeofday io_cancel ' +
  'io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit nanosleep ' +
  '_newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select setitimer signalfd signalfd4 ' +
  'time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime ' +
  'timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime ' +
  'timerfd_settime64';

const TALKING =
  'accept accept4 bind connect getpeername getrandom getsockname getsockopt ipc listen ' +
  'mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend ' +
  'mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd recv recvfrom recvmmsg ' +
  'recvmmsg_time64 recvmsg semctl semget semop semtimedop semtimedop_time64 send sendmmsg sendmsg ' +
  'sendto setsockopt shmat shmctl shmdt shmget shutdown socketcall socketpair';

/** Address families beyond the first twelve that are allowed; AF_ALG and AF_VSOCK are not. */
const FAMILIES = [
  13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44,
  45,
];
const PERSONALITIES = [0, 0x8, 0x20000, 0x20008, 0xffffffff];
/** CLONE_NEW*: no new namespaces. */
const NAMESPACE_FLAGS = 0x7e020000;
const ENOSYS = 38;

export const SECCOMP_RULES: readonly SeccompRule[] = [
  { calls: `${FILES} ${PROCESSES} ${MEMORY} ${WAITING} ${TALKING}` },
  { calls: 'process_vm_readv process_vm_writev ptrace' },
  {
    calls: 'socket',
    when: [[0, 'LT', 12], ...FAMILIES.map((family) => [0, 'EQ', family] as const)],
  },
  { calls: 'personality', when: PERSONALITIES.map((value) => [0, 'EQ', value] as const) },
  {
    calls: 'arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls',
    architectures: ['arm64'],
  },
  { calls: 'arch_prctl modify_ldt', architectures: ['amd64'] },
  { calls: 'open_by_handle_at', capability: 'DAC_READ_SEARCH' },
  {
    calls:
      'bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie ' +
      'lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount ' +
      'open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog ' +
      'umount umount2 unshare',
    capability: 'SYS_ADMIN',
  },
  {
    calls: 'clone',
    withoutCapability: 'SYS_ADMIN',
    when: [[0, 'MASKED_EQ', NAMESPACE_FLAGS, 0]],
  },
  // Its flags lie in memory, where no filter sees them: programs fall back to clone.
  { calls: 'clone3', withoutCapability: 'SYS_ADMIN', errno: ENOSYS },
  { calls: 'reboot', capability: 'SYS_BOOT' },
  { calls: 'chroot', capability: 'SYS_CHROOT' },
  { calls: 'delete_module init_module finit_module', capability: 'SYS_MODULE' },
  { calls: 'acct', capability: 'SYS_PACCT' },
  { calls: 'kcmp pidfd_getfd process_madvise', capability: 'SYS_PTRACE' },
  { calls: 'iopl ioperm', capability: 'SYS_RAWIO' },
  { calls: 'settimeofday stime clock_settime clock_settime64', capability: 'SYS_TIME' },
  { calls: 'vhangup', capability: 'SYS_TTY_CONFIG' },
  { calls: 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node', capability: 'SYS_NICE' },
  { calls: 'syslog', capability: 'SYSLOG' },
  { calls: 'bpf', capability: 'BPF' },
  { calls: 'perf_event_open', capability: 'PERFMON' },
];
