// Lowers one function's Clang graph to events.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "clang/AST/ExprCXX.h"
#include "clang/AST/StmtObjC.h"
#include "clang/Analysis/CFG.h"
#include "sync/frontend/paths.h"
#include "sync/frontend/types.h"
#include "sync/frontend/unit.h"

namespace cajal::sync::frontend {

class Lowering {
 public:
  Lowering(Unit& unit, int index, const clang::Decl* declaration, const clang::Stmt* body);

  /// Fills Program::functions[index].
  void run();

 private:
  /// A place to which a wait may move: the first part of a later statement that runs in line.
  struct Anchor {
    unsigned begin = 0;
    unsigned end = 0;
    unsigned line = 0;
    int wait = -1;
  };

  // The graph (lower.cpp).
  void lower_block(const clang::CFG& cfg, const clang::CFGBlock& block);
  void link(const clang::CFGBlock& block);
  void lower(const clang::CFGElement& element);
  void statement(const clang::Stmt* statement);
  void settle();
  void add_anchors(int wait, const clang::Expr* call);
  void emit_marks(const clang::Stmt* statement);
  void name_constructed(const clang::Stmt* statement);

  // Memory (accesses.cpp).
  void read(const clang::Expr* lvalue);
  void write(const clang::Expr* lvalue);
  void access(const clang::Expr* lvalue, bool is_write, bool is_read);
  void touch_unseen(const clang::Expr* lvalue);
  bool matters(const clang::Expr* lvalue) const;
  void assign(const clang::Expr* left, const clang::Expr* right);
  void assign(const Path& target, clang::QualType type, const clang::Expr* right);
  void declare(const clang::DeclStmt* statement);
  void give_back(const clang::ReturnStmt* statement);
  // Ends (lifetimes.cpp).
  void free_memory(const Path& memory, clang::SourceLocation at);
  void end_owned(const Path& object, clang::QualType type, clang::SourceLocation at);
  bool end_object(const Path& object, clang::QualType type, clang::SourceLocation at);
  void end_parts(const clang::Expr* receiver, const std::string& name, clang::SourceLocation at);
  void end_scope(const clang::VarDecl* variable, clang::SourceLocation at);
  void end_temporary(const clang::CXXBindTemporaryExpr* bound);
  void remove(const clang::CXXDeleteExpr* gone);
  void destroy(const clang::CFGImplicitDtor& element);
  void touch_references(const std::vector<const clang::Expr*>& arguments,
                        const clang::FunctionDecl* callee, unsigned skipped);
  void touch_receiver(const clang::Expr* receiver, const clang::FunctionDecl* method);
  void call_system_operator(const clang::CXXOperatorCallExpr* op);

  // Calls (calls.cpp).
  void call(const clang::Expr* call);
  void hold(const Path& made, clang::QualType type,
            const std::vector<const clang::Expr*>& arguments, bool listed = false);
  void construct(const clang::CXXConstructExpr* made);
  void describe_call(Event& event, const clang::Expr* call, const clang::Expr* receiver,
                     const std::vector<const clang::Expr*>& arguments);
  void call_known(const clang::Expr* call, int callee, const clang::Expr* receiver,
                  const std::vector<const clang::Expr*>& arguments);
  void call_system(const clang::Expr* call, const std::vector<const clang::Expr*>& arguments);
  void call_unknown(const clang::Expr* call, const std::vector<const clang::Expr*>& arguments,
                    const std::string& why, const clang::Decl* callee = nullptr);
  bool call_dispatch(const clang::Expr* call, const std::string& name,
                     const std::vector<const clang::Expr*>& arguments);
  int callable(const clang::Expr* argument) const;
  int find_function(const clang::Expr* call) const;
  std::vector<Access> handler_accesses(int function) const;

  // Foundation's classes (foundation.cpp).
  void call_foundation(const clang::ObjCMessageExpr* call, const std::string& name,
                       const clang::Expr* receiver,
                       const std::vector<const clang::Expr*>& arguments);
  void store_objects(const clang::ObjCMessageExpr* call, const std::string& name,
                     const clang::Expr* receiver, const std::vector<const clang::Expr*>& arguments);
  void enumerate(const clang::ObjCForCollectionStmt* loop);

  // CUDA and HIP (cuda.cpp).
  bool call_cuda(const clang::CallExpr* call, const std::string& name);
  void touch(std::vector<Access>& accesses, const clang::Expr* memory, bool written);
  void copy_cuda(const clang::CallExpr* call, const std::string& what);
  void launch(const clang::CUDAKernelCallExpr* call);
  void submit_pointers(const clang::CallExpr* call, const Path& queue, unsigned first);
  Path stream(const clang::CallExpr* call, int argument, Traits& traits);
  Path default_queue() const;  ///< What a null stream stands for.

  // Libraries on a device (libraries.cpp).
  bool call_driver(const clang::CallExpr* call, const std::string& name);
  bool call_library(const clang::CallExpr* call, const std::string& name);
  Path library_queue(const clang::CallExpr* call, Traits& traits);

  // Metal (metal.cpp).
  bool call_metal(const clang::Expr* call, const std::string& name, const clang::Expr* receiver,
                  const std::vector<const clang::Expr*>& arguments);
  bool call_command_buffer(const clang::Expr* call, const std::string& name, const Path& target,
                           const std::vector<const clang::Expr*>& arguments);
  bool call_buffer(const clang::Expr* call, const std::string& name, const clang::Expr* receiver,
                   const std::vector<const clang::Expr*>& arguments);
  void encode(const clang::Expr* call, const std::string& name, const Path& target,
              const std::vector<const clang::Expr*>& arguments);
  void note_reporting(const clang::Expr* call, int handler);
  bool comes_from_metal(const clang::Expr* call, Kind receiver) const;
  void encode_kernel(const clang::Expr* call, const Path& target, const clang::Expr* receiver,
                     const std::vector<const clang::Expr*>& arguments);
  bool call_other_metal(const clang::Expr* call, const std::string& name,
                        const clang::Expr* receiver,
                        const std::vector<const clang::Expr*>& arguments);
  void touch_resource(const clang::Expr* call, const clang::Expr* receiver,
                      const std::vector<const clang::Expr*>& arguments);
  void add_handler(const clang::Expr* call, const Path& target, const clang::Expr* handler);
  void commit(const clang::Expr* call, const Path& target);
  void note_make(const clang::Expr* call, const clang::Expr* receiver);

  // Common.
  Event& emit(Op op, clang::SourceLocation at);
  void flush_aliases(clang::SourceLocation at);
  int add_wait(const clang::Expr* call, const Path& target, Settled settled = Settled::no,
               const std::string& why = {});
  Path path(const clang::Expr* expression);
  const clang::CompoundStmt* compound_with(const clang::Expr* statement) const;
  std::string text(clang::SourceRange range) const;
  unsigned offset(clang::SourceLocation at) const;
  Function& function() { return unit_.result.program.functions[index_]; }

  Unit& unit_;
  int index_;
  const clang::Decl* declaration_;
  const clang::Stmt* body_;
  PathFinder paths_;
  int block_ = 0;
  std::vector<Anchor> anchors_;
  std::vector<unsigned> clocks_;    ///< Lines that read a clock.
  std::set<std::string> reported_;  ///< Command buffers, as written, whose handler looks at errors.
  std::string capture_;             ///< Why nothing here may move: a stream capture.
};

/// Statements of a body in which a wait can stand: every compound statement, innermost last.
std::vector<const clang::CompoundStmt*> compounds_of(const clang::Stmt* body);

/// A stream of which nothing is known.
Path unseen_queue();

}  // namespace cajal::sync::frontend
